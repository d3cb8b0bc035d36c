import Glibc
import PortcullisCore
public import PortcullisGate
import PortcullisReactor
public import PortcullisRedis

/// Finds Redis for a gate or a command.
public enum RedisPlace {
    /// The configured URL with its password; nil where none is configured.
    public static func configured(_ settings: Settings) throws(StartupError) -> RedisURL? {
        guard let text = settings.redis.url?.revealed else {
            if settings.redis.caFile != nil { throw StartupError(noSecureURL) }
            return nil
        }
        var url: RedisURL
        do throws(RedisURL.Malformed) {
            url = try RedisURL(text)
        } catch {
            throw StartupError(error.description)
        }
        if let file = settings.redis.passwordFile { url.password = try password(file) }
        try trust(&url, settings.redis.caFile)
        return url
    }

    private static let noSecureURL =
        "redis.ca_file is set, but redis.url asks for no TLS: write rediss:// there, or remove redis.ca_file."

    /// The authorities are read once, here, so that a bad file is found before anything is started.
    private static func trust(_ url: inout RedisURL, _ file: String?) throws(StartupError) {
        guard url.isSecured else {
            if file != nil { throw StartupError(noSecureURL) }
            return
        }
        do throws(TLSFailure) {
            url.trust = try TLSContext(authorities: file)
        } catch {
            throw StartupError(error.redisSentence)
        }
    }

    private static func password(_ path: String) throws(StartupError) -> String {
        guard let file = fopen(path, "re") else {
            throw StartupError("redis.password_file: \(path) cannot be read (\(SocketError.text(errno))).")
        }
        defer { fclose(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = fread(&buffer, 1, buffer.count, file)
        var bytes = Array(buffer.prefix(count))
        if bytes.last == 0x0A { bytes.removeLast() }
        guard !bytes.isEmpty, count < buffer.count, let text = String(validating: bytes, as: UTF8.self) else {
            throw StartupError("redis.password_file: \(path) holds no password: it is empty, too long or not text.")
        }
        return text
    }

    /// Waits until Redis answers and accepts the gate, up to a time.
    ///
    /// - Parameter patience: milliseconds. A refusal is not waited for: it would not change.
    public static func awaitAnswer(_ url: RedisURL, patience: Int = 5000) throws(StartupError) {
        let end = Clock.boot() + Int64(patience) * 1_000_000
        while true {
            do throws(BlockingConnection.Failure) {
                let left = max(100, Int((end - Clock.boot()) / 1_000_000))
                let connection = try BlockingConnection(url, timeout: left)
                if let error = try connection.ask(Command("TIME")).errorText {
                    throw BlockingConnection.Failure(description: LinkMachine.sentence(error), isRefusal: true)
                }
                return
            } catch {
                if error.isRefusal || Clock.boot() >= end { throw StartupError(error.description) }
                usleep(50_000)
            }
        }
    }

    /// Tries what a gate does in Redis: a right that is missing would else be found by whoever needs it first.
    public static func checkRights(_ url: RedisURL, _ configuration: GateConfiguration) throws(StartupError) {
        let keys = configuration.keys
        let session = configuration.sessions.flatMap { $0.key.key("portcullis-trial") }
        let trials = GateRights.trials(
            keys,
            node: configuration.node,
            session: session.map { String(decoding: $0, as: UTF8.self) },
            touches: configuration.sessions?.touches ?? false,
            sharedKeys: (configuration.asksSharedKeys ? ["revoked:", "jwt_blacklist:", "token_version:"] : [])
                + (configuration.asksActiveTokens ? ["active_token:"] : []),
            replicas: configuration.waitReplicas > 0,
            capsUsers: configuration.userCap.connections > 0,
            keepsPresence: configuration.presence
        )
        do throws(BlockingConnection.Failure) {
            let answers = try BlockingConnection(url).ask(trials.map(\.command))
            try accept(trials, answers)
            let subscriptions = GateRights.subscriptions(keys, node: configuration.node)
            try accept(subscriptions, BlockingConnection(url).ask(subscriptions.map(\.command)))
        } catch {
            throw StartupError(error.description)
        }
    }

    private static func accept(
        _ trials: [GateRights.Trial],
        _ answers: [RESPValue]
    ) throws(BlockingConnection.Failure) {
        for (trial, answer) in zip(trials, answers) {
            if let complaint = GateRights.complaint(trial, answer) {
                throw BlockingConnection.Failure(description: complaint, isRefusal: true)
            }
        }
    }
}
