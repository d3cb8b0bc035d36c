public import Logging

/// The effective configuration: the defaults that stand here, then the file, the environment and the flags, the later wins.
///
/// Sizes are bytes. ``SettingsSchema`` names the keys; ``load(file:environment:flags:)`` reads and checks them.
public struct Settings: Equatable, Sendable {
    /// Where clients connect.
    public var listen = ListenAddress.tcp(host: "127.0.0.1", port: 8080)
    /// Where the admin API listens.
    public var admin = ListenAddress.tcp(host: "127.0.0.1", port: 8081)
    /// The path of the WebSocket endpoint.
    public var path = "/ws"
    /// The gate's name among all gates; nil: host name and process id.
    public var node: String?
    /// How many loop threads hold connections; nil: one a core.
    public var loops: Int?
    /// The folder of what the gate keeps; nil: ``StateDirectory`` finds it.
    public var stateDirectory: String?
    /// Origins that may connect with a cookie besides the gate's own; `*` is any.
    public var origins: [String] = []
    /// Whether a refusal is an HTTP status or a close code.
    public var refusal = Refusal.auto
    /// What happens to the messages of raw connections.
    public var relay = Relay.rooms
    /// Subprotocols that are echoed for raw connections.
    public var subprotocols: [String] = []
    /// The file of the admin keys.
    public var adminKeysFile: String?

    public var redis = RedisSettings()
    public var tokens = TokenSettings()
    public var keys = KeySettings()
    public var sessions = SessionSettings()
    public var resources = ResourceSettings()
    public var guarantee = GuaranteeSettings()
    public var events = EventSettings()
    public var limits = LimitSettings()
    public var proxy = ProxySettings()
    public var drain = DrainSettings()
    public var tls = TLSSettings()
    public var audit = AuditSettings()
    public var anomalies = AnomalySettings()
    public var log = LogSettings()

    /// The keys that were written somewhere, by their dotted names: all others have their default.
    public internal(set) var written: Set<String> = []

    /// The defaults.
    public init() {}

    /// How a refused handshake is answered.
    public enum Refusal: String, CaseIterable, Sendable {
        /// By what the client can read.
        case auto
        /// By an HTTP status.
        case http
        /// By an upgrade and a close code.
        case close
    }

    /// Where the messages of raw connections go.
    public enum Relay: String, CaseIterable, Sendable {
        /// To the others in the room.
        case rooms
        /// Also back to the sender.
        case echo
        /// Nowhere.
        case off
    }
}

/// `redis`: the server that all gates share.
public struct RedisSettings: Equatable, Sendable {
    /// `redis://`, `rediss://`, `unix://` or `redis+sentinel://`; nil: the gate starts its own.
    public var url: Secret?
    public var passwordFile: String?
    /// What every key and channel of the gate begins with.
    public var prefix = "portcullis:"
    public var caFile: String?
    /// Replicas that must have an append before it is acknowledged.
    public var waitReplicas = 0
}

/// `resources`: roles and what they need.
public struct ResourceSettings: Equatable, Sendable {
    /// The role of a user on a resource that no permission names; nil: none.
    public var defaultRole: String?
    /// The roles, the least first.
    public var roles = ["viewer", "commenter", "editor", "owner"]
    /// Resource patterns that need an `auth_time` no older than this.
    public var stepUp: [StepUp] = []
    /// Whether the members of a room are told who comes and who goes.
    public var presence = false

    /// A resource pattern, and how fresh the sign-in must be.
    public struct StepUp: Equatable, Sendable {
        public var pattern: String
        public var within: Duration
    }
}

/// `guarantee`: how long a gate may serve without confirmation.
public struct GuaranteeSettings: Equatable, Sendable {
    public var lease = Duration.seconds(5)
    public var freezeLimit = Duration.seconds(60)
    public var mode = Mode.strict
    /// How long the log keeps a decision.
    public var retention = Duration.seconds(25 * 3600)

    /// What a frozen gate does.
    public enum Mode: String, CaseIterable, Sendable {
        /// Nothing passes.
        case strict
        /// It serves on and alarms.
        case bestEffort = "best_effort"
    }
}

/// `events`: who may decide.
public struct EventSettings: Equatable, Sendable {
    /// The file of the key that signs events; nil: events need no signature.
    public var hmacKeyFile: String?
}

/// `proxy`: whose word about a client's address is believed.
public struct ProxySettings: Equatable, Sendable {
    /// Addresses or networks (CIDR).
    public var trusted: [String] = []
    public var `protocol` = Header.none

    /// The header before the first byte of the client.
    public enum Header: String, CaseIterable, Sendable {
        case none
        /// PROXY protocol, version 2.
        case v2
    }
}

/// `drain`: how a gate stops.
public struct DrainSettings: Equatable, Sendable {
    /// The time over which the closes are spread.
    public var deadline = Duration.seconds(5)
    /// The range of the jitter after which a client shall return.
    public var retryAfter = Duration.seconds(10)
}

/// `tls`: certificates of the listeners; without one they speak in the clear.
public struct TLSSettings: Equatable, Sendable {
    /// By a name of the operator's.
    public var certificates: [String: Certificate] = [:]
    /// The file of the authorities whose client certificates are accepted.
    public var clientCA: String?
    public var minimum = Version.v12

    /// A certificate chain and its key, both PEM files. Both are set in settings that were loaded.
    public struct Certificate: Equatable, Sendable {
        public var certificate: String?
        public var key: String?
    }

    public enum Version: String, CaseIterable, Sendable {
        case v12 = "1.2"
        case v13 = "1.3"
    }
}

/// `audit`: where the audit goes.
public struct AuditSettings: Equatable, Sendable {
    /// A file, or `-` for standard output; nil: nowhere.
    public var file: String?
    /// Whether it also goes to the Redis stream.
    public var stream = false
}

/// `anomalies`: what a suspicious credential leads to.
public struct AnomalySettings: Equatable, Sendable {
    public var action = Action.report

    public enum Action: String, CaseIterable, Sendable {
        case report
        case reauthenticate
        case revoke
    }
}

/// `log`: what the program says on standard error.
public struct LogSettings: Equatable, Sendable {
    public var level = LogLevel.info
    public var format = LogFormat.text
}
