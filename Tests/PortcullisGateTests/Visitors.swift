import Foundation
import PortcullisCore
import PortcullisGate
import PortcullisReactor
import PortcullisWire
import TestKit

/// Clients of every kind that a gate has to do with, good and bad, who come together and leave each in another way.
struct Visitors {
    /// Those of a round who are connected.
    struct Crowd {
        var peers: [WebSocketPeer] = []
        /// Those who never become a client.
        var sockets: [BlockingSocket] = []
        /// Those who do not wait for their answer.
        var hasty: [BlockingSocket] = []

        /// How many the gate has admitted and has no reason to close: all but the one that floods.
        var live: Int { peers.count - 1 }
    }

    private let test: GateUnderTest
    private let tls: TLSClient?
    private let preamble: [UInt8]
    private static let version1 = "Sec-WebSocket-Protocol: portcullis.v1"

    init(_ test: GateUnderTest, _ tls: TLSClient?, _ isProxied: Bool) {
        self.test = test
        self.tls = tls
        let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
        let addresses: [UInt8] = [198, 51, 100, 4, 10, 0, 0, 1, 0x12, 0x34, 0, 80]
        preamble = isProxied ? signature + [0x21, 0x11, 0, 12] + addresses : []
    }

    func open(_ user: String, path: String = "/ws", _ headers: [String] = []) throws -> WebSocketPeer {
        let roles = #"{"doc:1":"editor","doc:2":"editor"}"#
        let token = "Authorization: Bearer \(try test.token(user, ["permissions": roles]))"
        return try peer(path, [token] + headers)
    }

    private func peer(_ path: String, _ headers: [String], behind: [UInt8] = []) throws -> WebSocketPeer {
        try WebSocketPeer(
            test.gate.endpoint,
            path: path,
            headers: headers,
            behind: behind,
            securedBy: tls,
            preamble: preamble
        )
    }

    private func socket(_ bytes: [UInt8] = [], secured: Bool = true, preamble: [UInt8]? = nil) throws -> BlockingSocket
    {
        let client = secured ? tls : nil
        let front = preamble ?? self.preamble
        let socket = try BlockingSocket(test.gate.endpoint, timeout: 10_000, securedBy: client, preamble: front)
        try socket.write(bytes)
        return socket
    }

    // MARK: - Coming

    func come(_ round: Int) throws -> Crowd {
        var crowd = Crowd()
        try come(members: &crowd, round)
        try come(sessions: &crowd, round)
        try come(strangers: &crowd)
        return crowd
    }

    /// Members of rooms, bound ones and others; one with a permission that changes, one who must sign in anew, one who refreshes.
    private func come(members crowd: inout Crowd, _ round: Int) throws {
        for number in 0..<4 {
            let peer = try open("alice\(number).\(round)", path: "/ws/doc:\(number % 2 + 1)", [Self.version1])
            _ = try peer.receive(type: "welcome")
            try peer.send(text: #"{"type":"join","resource":"doc:\#((number + 1) % 2 + 1)"}"#)
            _ = try peer.receive(type: "joined")
            crowd.peers.append(peer)
        }
        let viewer = RoleOrder.standard.viewer
        try test.append(
            .permit(.init(user: Identifier("alice0.\(round)"), resource: "doc:1", role: viewer, version: nil))
        )
        _ = try crowd.peers[0].receive(type: "permission")
        let select = Selector(ids: [.user: Identifier("alice1.\(round)")])
        try test.append(.reauthenticate(select, except: nil, within: .seconds(60)))
        _ = try crowd.peers[1].receive(type: "reauthenticate")
        let token = try test.token("alice2.\(round)", ["permissions": #"{"doc:1":"editor"}"#])
        try crowd.peers[2].send(text: #"{"type":"refresh","token":"\#(token)"}"#)
        _ = try crowd.peers[2].receive(type: "refreshed")
        // One sends more than it may, and is held back.
        let flood = try open("flood")
        try flood.send(raw: (0..<400).flatMap { _ in [0x81, 0x81, 0, 0, 0, 0, 0x61] as [UInt8] })
        crowd.peers.append(flood)
    }

    /// Sessions, bound and without a second factor, and one who authenticates by the first message.
    private func come(sessions crowd: inout Crowd, _ round: Int) throws {
        let agent = "User-Agent: visitor"
        let json = #"{"user_id":"carol","mfa_verified":false,"user_agent_hash":"\#(Self.agentHash)"}"#
        try test.redis.ask("SET", "session:s\(round)", json, "EX", "600")
        let scheme = tls == nil ? "http" : "https"
        let headers = ["Cookie: session_id=s\(round)", "Origin: \(scheme)://\(test.gate.endpoint)", agent]
        let carol = try peer("/ws", headers + [Self.version1])
        _ = try carol.receive(type: "welcome")
        crowd.peers.append(carol)
        let first = try peer("/ws", [Self.version1])
        try first.send(text: #"{"type":"authenticate","token":"\#(try test.token("dave"))"}"#)
        _ = try first.receive(type: "welcome")
        crowd.peers.append(first)
    }

    /// SHA-256 of `visitor`.
    private static let agentHash = "5f14f9e6d80f802a65269804f2552ef9889f2c7ccec5067214e58a1e48e0b3ff"

    /// Who says nothing, or the beginning of something, or what is refused, or asks and does not wait.
    private func come(strangers crowd: inout Crowd) throws {
        let request = Array("GET /ws/doc:1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n".utf8)
        let rest = [
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Authorization: Bearer \(try test.token("erin", ["permissions": #"{"doc:1":"viewer"}"#]))", "", "",
        ]
        for _ in 0..<2 {
            crowd.sockets += [
                try socket(secured: false), try socket(secured: false, preamble: []),
                try socket([0x16, 3, 1, 2, 0, 1], secured: false), try socket(), try socket(request),
                try socket(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)),
            ]
            crowd.hasty.append(try socket(request + Array(rest.joined(separator: "\r\n").utf8)))
            if !preamble.isEmpty {
                crowd.sockets.append(try socket(secured: false, preamble: Array(preamble.prefix(20))))
            }
        }
        _ = try peer("/ws", ["Authorization: Bearer x.y.z"])
    }

    // MARK: - Leaving

    /// Each leaves as its turn in the crowd and the round say: by a close frame, an end, a reset, or when the gate has had enough.
    func leave(_ crowd: inout Crowd, _ round: Int) throws {
        if round % 2 == 1 {
            try test.publish(#"{"v":1,"type":"disconnect","select":{"user":"alice3.\#(round)"}}"#)
            _ = try crowd.peers[3].receiveClose()
        }
        for (number, peer) in crowd.peers.enumerated() {
            switch (number + round) % 3 {
            case 0: try? peer.close(code: 1000)
            case 1: peer.resetAtClose()
            default: break
            }
        }
        for (number, socket) in crowd.sockets.enumerated() {
            switch (number + round) % 4 {
            case 0: socket.resetAtClose()
            case 1: socket.endWriting()
            // The gate ends it, at the latest when the time for a handshake is over.
            case 2 where round == 1: while try !socket.read().isEmpty {}
            default: break
            }
        }
        crowd.hasty.first?.resetAtClose()
        crowd = Crowd()
    }
}
