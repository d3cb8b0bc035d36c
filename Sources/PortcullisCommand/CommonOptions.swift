import ArgumentParser
import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisRedis
import PortcullisWire

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where Redis is: redis://[user:password@]host:port/db, rediss://…, redis+sentinel://host:port,…/name or unix:///path.",
            valueName: "url"
        )
    )
    var redis: String?

    @Option(help: ArgumentHelp("Where a gate without a configured Redis keeps its own.", valueName: "dir"))
    var stateDir: String?

    @Option(help: ArgumentHelp("A YAML file.", valueName: "file"))
    var config: String?

    /// The settings: file, environment, these flags and more.
    func settings(_ more: [String: String?] = [:]) throws -> Settings {
        try reader(more)()
    }

    /// Reads the settings as often as it is called: the file as it is by then, environment and flags as they are now.
    func reader(_ more: [String: String?] = [:]) -> @Sendable () throws -> Settings {
        var flags = more.compactMapValues { $0 }
        flags["redis.url"] = redis
        flags["state_dir"] = stateDir
        let (file, environment) = (config, ProcessInfo.processInfo.environment)
        return { [flags] in try Settings.load(file: file, environment: environment, flags: flags) }
    }

    /// The state directory of these settings.
    func state(_ settings: Settings) throws -> StateDirectory {
        try StateDirectory.locate(
            configured: settings.stateDirectory,
            environment: ProcessInfo.processInfo.environment
        )
    }

    /// A connection to the configured Redis, else to the embedded one of the state directory.
    func connect(_ settings: Settings) throws -> BlockingConnection {
        let configured = try RedisPlace.configured(settings)
        do {
            if let configured { return try BlockingConnection(configured) }
            let socket = try state(settings).redisSocket
            guard FileManager.default.fileExists(atPath: socket) else {
                throw RedisUnreachable(
                    "No gate is running with its own Redis in \(try state(settings).path): start one with portcullis serve, or name yours with --redis URL."
                )
            }
            return try BlockingConnection(RedisURL(place: .path(socket)))
        } catch let failure as BlockingConnection.Failure {
            throw RedisUnreachable(failure.description)
        }
    }
}

/// Runs what talks to Redis: when it goes away in between, that is exit code 3.
func withRedis<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let failure as BlockingConnection.Failure {
        throw RedisUnreachable(failure.description)
    }
}

/// `15m`, `2s`, `250ms`.
struct Span: ExpressibleByArgument {
    let duration: Duration

    init?(argument: String) {
        guard let duration = Duration(setting: argument) else { return nil }
        self.duration = duration
    }
}

/// RFC 3339.
struct Moment: ExpressibleByArgument {
    let time: WallTime

    init?(argument: String) {
        guard let time = WallTime(rfc3339: argument) else { return nil }
        self.time = time
    }
}
