import Logging
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import Synchronization

/// Reads the settings again, as they were read at the start, and gives the gate what can change while it runs. A bad file changes nothing.
final class GateReloader: Sendable {
    /// What does not change.
    struct Surroundings: Sendable {
        let gate: Gate
        let keys: KeyRefresher?
        let redis: RedisURL
        let state: StateDirectory
        let log: ConsoleLog
        let logger: Logger
    }

    private let read: @Sendable () throws -> Settings
    private let around: Surroundings
    private let running: Mutex<Settings>

    /// - Parameters:
    ///   - settings: what the gate was started with.
    ///   - read: reads them again.
    init(_ settings: Settings, _ around: Surroundings, read: @escaping @Sendable () throws -> Settings) {
        self.read = read
        self.around = around
        running = Mutex(settings)
    }

    func reload() {
        running.withLock { running in
            do {
                let new = try read()
                try UnsupportedSettings.check(new)
                let before = running
                running = try adopt(new, before)
                tell(before, running, new)
            } catch {
                // Several problems are a line each.
                let reason = "\(error)".split(separator: "\n").joined(separator: "; ")
                around.logger.error(
                    "the configuration is not reloaded, and nothing has changed",
                    metadata: ["reason": "\(reason)"]
                )
            }
        }
    }

    /// - Returns: what is in force now.
    /// - Throws: before anything has changed.
    private func adopt(_ new: Settings, _ running: Settings) throws -> Settings {
        var taken = running.taking(new)
        var tokens = try load(taken)
        if policy(tokens) == nil {
            // Sets at other URLs: the tokens stay as they are, but what stands in files is read.
            taken.tokens = running.tokens
            tokens = try load(taken)
        }
        let problems = SettingsRules.problems(in: taken)
        guard problems.isEmpty else { throw SettingsError(problems: problems) }
        guard let policy = policy(tokens) else { return running }
        let configuration = try GateAssembly.configuration(
            taken,
            redis: around.redis,
            tokens: policy,
            version: GateServer.version,
            listen: around.gate.endpoint
        )
        // From here on nothing can fail.
        around.log.level = taken.log.level
        around.gate.reload(configuration)
        if let keys = around.keys { keys.replace(tokens) } else { around.gate.replaceTokens(policy) }
        return taken
    }

    private func load(_ settings: Settings) throws(StartupError) -> LoadedTokens {
        try TokenKeys.load(settings, state: around.state)
    }

    private func policy(_ tokens: LoadedTokens) -> TokenPolicy? {
        guard let keys = around.keys else { return tokens.fetched.isEmpty ? tokens.policy : nil }
        return keys.completed(tokens)
    }

    private func tell(_ before: Settings, _ now: Settings, _ new: Settings) {
        let changed = now.differences(from: before)
        around.logger.notice(
            "the configuration is reloaded",
            metadata: ["changed": "\(changed.isEmpty ? "no setting" : changed.joined(separator: ", "))"]
        )
        let ignored = now.differences(from: new)
        guard !ignored.isEmpty else { return }
        around.logger.warning(
            "settings have changed that only a restart can take",
            metadata: ["settings": "\(ignored.joined(separator: ", "))"]
        )
    }
}
