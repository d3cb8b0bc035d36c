/// Every way a handshake is refused or a connection is closed. The raw value is the code in a problem document, the reason in a
/// close frame and the label of a metric; all else that follows from an outcome stands in ``row``.
public enum Outcome: String, CaseIterable, Sendable {
    // Refused handshakes.
    case badRequest = "bad_request"
    case ambiguousCredential = "ambiguous_credential"
    case missingCredential = "missing_credential"
    case malformedToken = "malformed_token"
    case badSignature = "bad_signature"
    case unknownKey = "unknown_key"
    case algorithmForbidden = "algorithm_forbidden"
    case typeForbidden = "type_forbidden"
    case expired
    case notYetValid = "not_yet_valid"
    case lifeTooLong = "life_too_long"
    case wrongIssuer = "wrong_issuer"
    case wrongAudience = "wrong_audience"
    case missingClaim = "missing_claim"
    case unknownSession = "unknown_session"
    case badTicket = "bad_ticket"
    case bindingMismatch = "binding_mismatch"
    case revoked
    case bodyForbidden = "body_forbidden"
    case originForbidden = "origin_forbidden"
    case forbiddenResource = "forbidden_resource"
    case reauthenticationRequired = "reauthentication_required"
    case blocked
    case notFound = "not_found"
    case handshakeTimeout = "handshake_timeout"
    case upgradeRequired = "upgrade_required"
    case rateLimited = "rate_limited"
    case tooManyConnections = "too_many_connections"
    case headersTooLarge = "headers_too_large"
    case cannotVouch = "cannot_vouch"
    case storeUnavailable = "store_unavailable"
    case draining
    case atCapacity = "at_capacity"

    // Closes of live connections that refuse no handshake.
    case bye
    case shuttingDown = "shutting_down"
    case protocolError = "protocol_error"
    case unsupportedData = "unsupported_data"
    case invalidPayload = "invalid_payload"
    case policyViolation = "policy_violation"
    case messageTooBig = "message_too_big"
    case slowConsumer = "slow_consumer"
    case permissionRevoked = "permission_revoked"
    case authenticationTimeout = "authentication_timeout"
    case heartbeatTimeout = "heartbeat_timeout"
    case replaced
    case sessionEnded = "session_ended"
}

/// What a client should do after a close, as the `closing` message says it.
public enum Reconnect: String, Sendable {
    case never
    case reauthenticate
    case later
}

extension Outcome {
    /// What follows from an outcome.
    public struct Row: Equatable, Sendable {
        /// The status of a refusal over HTTP; 400 for an outcome that only closes.
        public let status: Int
        /// The code in the close frame (RFC 6455, section 7.4); nil where a refusal is always spoken over HTTP.
        public let closeCode: UInt16?
        public let reconnect: Reconnect
        /// The `title` of the problem document: one sentence that tells an attacker no more than the code.
        public let title: String
    }

    /// The one table of the project (protocol.md).
    public var row: Row {
        switch self {
        case .badRequest: .init(400, 1002, .never, "The request is not a valid WebSocket handshake.")
        case .ambiguousCredential: .init(400, 1002, .never, "The request carries more than one credential.")
        case .missingCredential: .init(401, 4401, .reauthenticate, "The request carries no credential.")
        case .malformedToken: .init(401, 4401, .reauthenticate, "The token is malformed.")
        case .badSignature: .init(401, 4401, .reauthenticate, "The token's signature is not valid.")
        case .unknownKey: .init(401, 4401, .reauthenticate, "The token was signed with an unknown key.")
        case .algorithmForbidden: .init(401, 4401, .reauthenticate, "The token's algorithm is not accepted.")
        case .typeForbidden: .init(401, 4401, .reauthenticate, "The token's type is not accepted.")
        case .expired: .init(401, 4401, .reauthenticate, "The credential has expired.")
        case .notYetValid: .init(401, 4401, .reauthenticate, "The token is not valid yet.")
        case .lifeTooLong: .init(401, 4401, .reauthenticate, "The token lives longer than is accepted.")
        case .wrongIssuer: .init(401, 4401, .reauthenticate, "The token's issuer is not accepted.")
        case .wrongAudience: .init(401, 4401, .reauthenticate, "The token is meant for another audience.")
        case .missingClaim: .init(401, 4401, .reauthenticate, "The token lacks a required claim.")
        case .unknownSession: .init(401, 4401, .reauthenticate, "There is no such session.")
        case .badTicket: .init(401, 4401, .reauthenticate, "The ticket is not valid.")
        case .bindingMismatch: .init(401, 4401, .reauthenticate, "The session belongs to another client.")
        case .revoked: .init(401, 4410, .never, "The credential has been revoked.")
        case .bodyForbidden: .init(413, nil, .never, "A WebSocket handshake carries no body.")
        case .originForbidden: .init(403, nil, .never, "The origin is not allowed.")
        case .forbiddenResource: .init(403, 4403, .never, "The user may not view this resource.")
        case .reauthenticationRequired: .init(403, 4403, .reauthenticate, "The user must authenticate anew.")
        case .blocked: .init(403, 4423, .never, "The user is blocked.")
        case .notFound: .init(404, nil, .never, "There is nothing at this path.")
        case .handshakeTimeout: .init(408, 4408, .later, "The handshake took too long.")
        case .upgradeRequired: .init(426, nil, .never, "This path speaks WebSocket version 13.")
        case .rateLimited: .init(429, 4429, .later, "Too many attempts.")
        case .tooManyConnections: .init(429, 4429, .later, "The user has too many connections.")
        case .headersTooLarge: .init(431, nil, .never, "The request head is too large.")
        case .cannotVouch: .init(503, 1013, .later, "The gate cannot vouch for its view of revocations.")
        case .storeUnavailable: .init(503, 1013, .later, "The credential could not be checked.")
        case .draining: .init(503, 1013, .later, "The gate is shutting down.")
        case .atCapacity: .init(503, 1013, .later, "The gate is full.")
        case .bye: .init(400, 1000, .later, "The connection was closed.")
        case .shuttingDown: .init(503, 1001, .later, "The gate is shutting down.")
        case .protocolError: .init(400, 1002, .never, "The client broke the WebSocket protocol.")
        case .unsupportedData: .init(400, 1003, .never, "The client sent data of a kind that is not accepted.")
        case .invalidPayload: .init(400, 1007, .never, "The client sent text that is not UTF-8.")
        case .policyViolation: .init(400, 1008, .never, "The client broke a rule of the gate.")
        case .messageTooBig: .init(413, 1009, .never, "The client sent a message that is too big.")
        case .slowConsumer: .init(503, 1013, .later, "The client reads too slowly.")
        case .permissionRevoked: .init(403, 4403, .never, "The permission was taken away.")
        case .authenticationTimeout: .init(408, 4408, .later, "No credential came in time.")
        case .heartbeatTimeout: .init(408, 4408, .later, "The client was silent for too long.")
        case .replaced: .init(403, 4409, .never, "A newer connection took the place of this one.")
        case .sessionEnded: .init(401, 4410, .never, "The session has ended.")
        }
    }
}

extension Outcome.Row {
    fileprivate init(_ status: Int, _ closeCode: UInt16?, _ reconnect: Reconnect, _ title: String) {
        self.init(status: status, closeCode: closeCode, reconnect: reconnect, title: title)
    }
}

/// Why a credential or a request was not accepted: the public outcome, and the words for the log and for `token verify`, which never
/// contain a part of the credential.
public struct Refusal: Error, Equatable, Sendable {
    public let outcome: Outcome
    /// A sentence for the operator. Literals cost no allocation.
    public let detail: String

    public init(_ outcome: Outcome, _ detail: String) {
        self.outcome = outcome
        self.detail = detail
    }
}
