import Glibc
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

    /// Tries what changes nothing. A gate whose user lacks a permission would only be a gate that never vouches.
    private static func requirePermissions(
        _ connection: BlockingConnection,
        _ keys: Keys
    ) throws(BlockingConnection.Failure) {
        let questions: [(what: String, command: Command)] = [
            ("read \(keys.epoch)", Command("GET", keys.epoch)),
            ("read \(keys.log)", Command("XRANGE", keys.log, "-", "+", "COUNT", "1")),
            ("read \(keys.standing)", Command("HSCAN", keys.standing, "0", "COUNT", "1")),
            ("write \(keys.standing)", Command("HDEL", keys.standing, "")),
            ("run scripts", Command("EVAL", "return redis.call('EXISTS', KEYS[1])", "1", keys.log)),
            ("publish to \(keys.events)", Command("PUBLISH", keys.control("?"), "")),
            ("use CLIENT ID, needed for tracking", Command("CLIENT", "ID")),
        ]
        for (what, command) in questions {
            guard let error = try connection.ask(command).errorText, error.hasPrefix("NOPERM") else { continue }
            throw BlockingConnection.Failure(
                description:
                    "Redis forbids the gate's user to \(what): give it the ACL line of README, section Access.",
                isRefusal: true
            )
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
    /// - Parameters:
    ///   - keys: those of the gate; with them it is tried whether its user may do what it needs. nil: that is not asked.
    ///   - patience: milliseconds. A refusal is not waited for: it would not change.
    public static func awaitAnswer(_ url: RedisURL, keys: Keys? = nil, patience: Int = 5000) throws(StartupError) {
        let end = Clock.boot() + Int64(patience) * 1_000_000
        while true {
            do throws(BlockingConnection.Failure) {
                let left = max(100, Int((end - Clock.boot()) / 1_000_000))
                let connection = try BlockingConnection(url, timeout: left)
                if let error = try connection.ask(Command("TIME")).errorText {
                    throw BlockingConnection.Failure(description: LinkMachine.sentence(error), isRefusal: true)
                }
                if let keys { try requirePermissions(connection, keys) }
                return
            } catch {
                if error.isRefusal || Clock.boot() >= end { throw StartupError(error.description) }
                usleep(50_000)
            }
        }
    }
}
