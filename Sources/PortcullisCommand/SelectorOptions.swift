import ArgumentParser
import PortcullisCore

/// Which connections or credentials: one field or more, all of which must match, or `--all`.
struct SelectorOptions: ParsableArguments {
    @Option(help: "A user's id.") var user: String?
    @Option(help: "The id of a server session, or a token's sid.") var session: String?
    @Option(help: "A token's id (jti).") var token: String?
    @Option(help: ArgumentHelp("The SHA-256 of a token, in hexadecimal.", valueName: "hex")) var tokenHash: String?
    @Option(help: "The id of a connection.") var connection: String?
    @Option(help: "A tenant.") var tenant: String?
    @Option(help: "A device.") var device: String?
    @Option(help: ArgumentHelp("The id of the key that signed a token.", valueName: "kid")) var key: String?
    @Option(help: "The issuer of a token.") var issuer: String?
    @Option(help: ArgumentHelp("An address, or a network such as 192.0.2.0/24.", valueName: "ip")) var ip: String?
    @Option(help: "A resource that connections are members of.") var resource: String?
    @Option(help: "Their role on it.") var role: String?
    @Flag(help: "Everybody.") var all = false

    /// The selector; nil where no option is given.
    func selector() throws -> Selector? {
        var selector = Selector(all: all)
        let ids: [(Identity.Field, String, String?)] = [
            (.user, "--user", user), (.session, "--session", session), (.token, "--token", token),
            (.tokenHash, "--token-hash", tokenHash?.lowercased()), (.tenant, "--tenant", tenant),
            (.device, "--device", device), (.key, "--key", key), (.issuer, "--issuer", issuer),
        ]
        for (field, option, value) in ids {
            guard let value else { continue }
            selector.ids[field] = try Self.identifier(value, option)
        }
        if let tokenHash, tokenHash.utf8.count != 64 || !tokenHash.utf8.allSatisfy({ $0.isHexadecimal }) {
            throw CommandFailure.usage("--token-hash takes the 64 hexadecimal digits of a SHA-256.")
        }
        if let ip {
            guard let network = IPNetwork(ip) else {
                throw CommandFailure.usage("--ip takes an address or a network such as 192.0.2.0/24.")
            }
            selector.network = network
        }
        if let connection {
            guard let id = ConnectionID(connection) else {
                throw CommandFailure.usage("--connection takes the 24 hexadecimal digits of a connection's id.")
            }
            selector.connection = id
        }
        if let resource { selector.resource = try Self.identifier(resource, "--resource") }
        if let role { selector.role = try Self.identifier(role, "--role") }
        return selector.isEmpty ? nil : selector
    }

    /// The selector of a decision, which must name somebody.
    func required(namesConnections: Bool) throws -> Selector {
        guard let selector = try selector() else {
            throw CommandFailure.usage(
                "Say whom: --user, --session, --token or another selector, or --all for everybody."
            )
        }
        if selector.namesConnections, !namesConnections {
            throw CommandFailure.usage(
                "--connection, --resource and --role name connections, not credentials: use portcullis disconnect."
            )
        }
        return selector
    }

    static func identifier(_ text: String, _ option: String) throws -> Identifier {
        let id = Identifier(text)
        guard id.isWellFormed else {
            throw CommandFailure.usage("\(option) takes 1 to 255 bytes without control characters.")
        }
        return id
    }
}

extension UInt8 {
    fileprivate var isHexadecimal: Bool {
        (0x30...0x39).contains(self) || (0x41...0x46).contains(self & 0xDF)
    }
}
