/// Which connections or credentials a decision is about: every field that is set must match.
public struct Selector: Hashable, Sendable {
    /// The ids of a credential: user, session, token and so on.
    public var ids: [Identity.Field: Identifier]
    public var network: IPNetwork?
    /// Matches everything. Must be written out: an empty selector is an error.
    public var all: Bool

    // Only for notify, disconnect and queries: they name a connection, not a credential.
    public var connection: ConnectionID?
    public var resource: Identifier?
    public var role: Identifier?

    public init(
        ids: [Identity.Field: Identifier] = [:],
        network: IPNetwork? = nil,
        connection: ConnectionID? = nil,
        resource: Identifier? = nil,
        role: Identifier? = nil,
        all: Bool = false
    ) {
        self.ids = ids
        self.network = network
        self.connection = connection
        self.resource = resource
        self.role = role
        self.all = all
    }

    public var isEmpty: Bool {
        ids.isEmpty && network == nil && !namesConnections && !all
    }

    /// Whether it holds a field that only a live connection has.
    public var namesConnections: Bool {
        connection != nil || resource != nil || role != nil
    }

    /// Whether it names a single credential, so that a revocation also covers what was issued later under that name.
    public var namesOneCredential: Bool {
        ids[.token] != nil || ids[.tokenHash] != nil || ids[.session] != nil
    }

    /// Whether it could match a server session, which may outlive the log.
    public var canMatchSession: Bool {
        ids[.token] == nil && ids[.tokenHash] == nil
    }

    /// Whether it matches a credential that comes from an address.
    public func matches(_ identity: Identity, from address: IPAddress?) -> Bool {
        guard !isEmpty, !namesConnections else { return false }
        return matchesCredential(identity, from: address)
    }

    /// Whether it could match a connection with that credential, whatever it asks of the connection itself. For a scan of all connections:
    /// what a selector can ask of one costs more than this answer.
    public func couldMatch(_ identity: Identity, from address: IPAddress?) -> Bool {
        !isEmpty && matchesCredential(identity, from: address)
    }

    fileprivate func matchesCredential(_ identity: Identity, from address: IPAddress?) -> Bool {
        for (field, id) in ids where !identity.matches(field, id) { return false }
        if let network {
            guard let address, network.contains(address) else { return false }
        }
        return true
    }
}

/// What a selector can ask of a connection, beyond its credential.
public struct ConnectionTraits {
    public let id: ConnectionID
    public let address: IPAddress?
    /// The connection's role on a resource; nil where it is no member.
    public let role: (Identifier) -> Identifier?
    /// The resource it is bound to.
    public let resource: Identifier?

    public init(
        id: ConnectionID,
        address: IPAddress?,
        resource: Identifier?,
        role: @escaping (Identifier) -> Identifier?
    ) {
        self.id = id
        self.address = address
        self.resource = resource
        self.role = role
    }
}

extension Selector {
    /// Whether it matches a connection. A `role` is the connection's role on the selected resource, else on the one it is bound to.
    public func matches(_ identity: Identity, _ connection: ConnectionTraits) -> Bool {
        guard !isEmpty, matchesCredential(identity, from: connection.address) else { return false }
        if let id = self.connection, id != connection.id { return false }
        if let resource, connection.role(resource) == nil { return false }
        if let role {
            guard let place = resource ?? connection.resource, connection.role(place) == role else { return false }
        }
        return true
    }
}

/// The name of a connection: unique among all gates and over all restarts.
public struct ConnectionID: Hashable, Sendable {
    /// The gate's random number of this run.
    public let instance: UInt32
    /// The loop, its slot and the slot's generation.
    public let serial: UInt64

    public init(instance: UInt32, serial: UInt64) {
        self.instance = instance
        self.serial = serial
    }

    /// 24 hexadecimal digits, lower case.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count == 24, text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }),
            let instance = UInt32(text.prefix(8), radix: 16), let serial = UInt64(text.dropFirst(8), radix: 16)
        else { return nil }
        self.init(instance: instance, serial: serial)
    }
}

extension ConnectionID: CustomStringConvertible {
    public var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(24)
        append(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends the 24 digits.
    public func append(to text: inout [UInt8]) {
        for shift in stride(from: UInt32(28), through: 0, by: -4) {
            Self.append(digit: UInt64(instance >> shift), to: &text)
        }
        for shift in stride(from: UInt64(60), through: 0, by: -4) { Self.append(digit: serial >> shift, to: &text) }
    }

    /// The lowest four bits.
    private static func append(digit: UInt64, to text: inout [UInt8]) {
        let digit = UInt8(digit & 15)
        text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
    }
}
