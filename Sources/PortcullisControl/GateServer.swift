import Logging
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisRedis
import ServiceLifecycle
import UnixSignals

/// A whole gate: Redis where it has its own, the data plane, the admin listener; from start to an orderly end.
public enum GateServer {
    /// The version that `portcullis --version` says and that gates write beside their heartbeat.
    public static let version = "0.1.0"

    /// Runs until SIGTERM or SIGINT. Whatever stops the start leaves nothing behind.
    ///
    /// - Parameter reread: reads the settings again as they were read for this, from the same file, environment and flags: at SIGHUP.
    /// - Throws: ``StartupError``, or ``RedisUnreachable`` where Redis does not answer within 5 s or refuses the gate.
    public static func run(
        _ settings: Settings,
        environment: [String: String],
        reread: @escaping @Sendable () throws -> Settings
    ) async throws {
        // Until somebody listens to them they would end the process.
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        let log = ConsoleLog(level: settings.log.level, format: settings.log.format)
        log.bootstrap()
        let logger = Logger(label: "portcullis")
        let began = Clock.boot()

        try UnsupportedSettings.check(settings)
        // Before anything is started: a port that is taken leaves nothing half-done.
        try settings.listen.probe(for: "listen")
        try settings.admin.probe(for: "admin")
        if let weakness = try CookieSecret.weakness(settings.sessions) { logger.warning("\(weakness)") }
        let state = try StateDirectory.locate(configured: settings.stateDirectory, environment: environment)
        let tokens = try TokenKeys.load(settings, state: state) { path in
            logger.notice(
                "no key is configured: tokens are verified with the gate's own secret",
                metadata: ["file": "\(path)"]
            )
        }

        let keys = tokens.fetched.isEmpty ? nil : KeyRefresher(tokens, settings.keys, state: state, logger: logger)
        await keys?.begin()

        var services: [any Service] = []
        let redis: RedisURL
        var embedded: EmbeddedRedis?
        if let configured = try RedisPlace.configured(settings) {
            redis = configured
            do throws(StartupError) {
                try RedisPlace.awaitAnswer(redis)
            } catch {
                throw RedisUnreachable(error.description)
            }
        } else {
            try state.prepare()
            let own = EmbeddedRedis(directory: state, logger: logger)
            try await own.start()
            logger.notice("no Redis is configured: the gate has its own", metadata: ["url": "\(own.url)"])
            redis = RedisURL(place: .path(state.redisSocket))
            services.append(own)
            embedded = own
        }

        let gate: GateService
        do {
            let configuration = try GateAssembly.configuration(
                settings,
                redis: redis,
                tokens: keys?.policy ?? tokens.policy,
                version: version
            )
            if embedded == nil {
                do throws(StartupError) {
                    try RedisPlace.checkRights(redis, configuration)
                } catch {
                    throw RedisUnreachable(error.description)
                }
            }
            if configuration.mode == .bestEffort {
                logger.warning(
                    "guarantee.mode is best_effort: while Redis cannot be followed, revoked users may be served"
                )
            }
            gate = try GateService(configuration, keys: keys, logger: logger)
            logger.notice(
                "listening",
                metadata: [
                    "address": "\(gate.gate.endpoint)", "node": "\(configuration.node)",
                    "loops": "\(configuration.loops)", "redis": "\(redis)",
                    "start_ms": "\((Clock.boot() - began) / 1_000_000)",
                ]
            )
        } catch {
            await embedded?.stop()
            throw error
        }
        // They end in the reverse order: readiness is asked to the last.
        services.append(
            AdminListener(address: settings.admin, logger: logger) { [status = gate.gate] in status.status.report }
        )
        if let keys { services.append(keys) }
        services.append(gate)
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .warning)
        let group = ServiceGroup(
            configuration: .init(
                services: services.map { .init(service: $0) },
                logger: quiet
            )
        )
        let reloader = GateReloader(
            settings,
            .init(gate: gate.gate, keys: keys, redis: redis, state: state, log: log, logger: logger),
            read: reread
        )
        let manager = ServiceManager(environment: environment)
        let ends = await UnixSignalsSequence(trapping: .sigterm, .sigint)
        let care: [Task<Void, Never>] = [
            Task { [gate = gate.gate] in await manager?.follow(gate) },
            Task {
                await GateSignals.reload(hangups) {
                    guard let manager else { return reloader.reload() }
                    manager.whileReloading { reloader.reload() }
                }
            },
            Task {
                await GateSignals.end(ends, logger) {
                    manager?.stopping()
                    await group.triggerGracefulShutdown()
                }
            },
        ]
        defer { for task in care { task.cancel() } }
        try await group.run()
    }
}

/// Redis could not be reached in time, or refused the gate: exit code 3.
public struct RedisUnreachable: Error, CustomStringConvertible {
    public let description: String

    public init(_ sentence: String) {
        description = sentence
    }
}
