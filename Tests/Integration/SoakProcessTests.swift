import Foundation
import PortcullisReactor
import PortcullisTokens
import TestKit
import Testing

/// A gate's process while connections come and go: its descriptors are as many as before, and its memory does not go on growing.
@Suite(.serialized) struct SoakProcessTests {
    private static let secret = Array("a secret that is long enough for HS256, really".utf8)
    /// Memory is compared between this round and the one of twice its number.
    private static let settled = 6
    private static let crowd = 100

    private let signer: TokenSigner

    init() throws {
        signer = TokenSigner(try SigningKey(secret: Self.secret.span, algorithm: .hs256, source: "the test"))
    }

    @Test(arguments: [false, true]) func descriptorsAndMemoryReturn(_ isSecured: Bool) throws {
        let redis = try RedisServer()
        let certificates = try Certificates()
        let files = "{certificate: \"\(certificates.certificate(.good))\", key: \"\(certificates.key(.good))\"}"
        let settings = isSecured ? "tls: {certificates: {main: \(files)}}\n" : ""
        let gate = try GateProcess(redis, secret: Self.secret, settings: settings)
        let endpoint = try gate.endpoint()
        let client = isSecured ? try certificates.client() : nil
        let before = try gate.descriptors()
        var settled = 0
        for number in 1...Self.settled * 2 {
            try round(number, endpoint, client)
            var more: [String: Int] = [:]
            for _ in 0..<3000 {
                more = try gate.descriptors(beyond: before)
                if more.isEmpty { break }
                Thread.sleep(forTimeInterval: 0.01)
            }
            try #require(more.isEmpty, "round \(number): \(more)")
            if number == Self.settled { settled = try resident(gate) }
        }
        let growth = try resident(gate) - settled
        // Four kilobytes of each connection would be seen; of TLS alone each has three times that.
        #expect(growth < 2 << 20, "\(growth) bytes after \(Self.crowd * Self.settled) connections more")
    }

    /// Comes with a crowd, a part of it admitted, and leaves in every way.
    private func round(_ number: Int, _ endpoint: Endpoint, _ client: TLSClient?) throws {
        var peers: [WebSocketPeer] = []
        var sockets: [BlockingSocket] = []
        let good = "Authorization: Bearer \(try token("alice\(number)"))"
        for index in 0..<Self.crowd {
            switch index % 5 {
            case 0, 1:
                let path = index % 2 == 0 ? "/ws" : "/ws/doc:\(index)"
                let headers = [good, "Sec-WebSocket-Protocol: portcullis.v1"]
                let peer = try WebSocketPeer(endpoint, path: path, headers: headers, securedBy: client)
                #expect(peer.status == 101)
                if index % 3 == 0 { peer.resetAtClose() }
                if index % 3 == 1 { try peer.close(code: 1000) }
                peers.append(peer)
            case 2:
                let bad = try WebSocketPeer(endpoint, headers: ["Authorization: Bearer x.y.z"], securedBy: client)
                #expect(bad.status == 401)
            case 3:
                let half = try BlockingSocket(endpoint, timeout: 30_000, securedBy: client)
                try half.write(Array("GET /ws HTTP/1.1\r\nHost: x\r\n".utf8))
                if index % 2 == 0 { half.resetAtClose() }
                sockets.append(half)
            default:
                // The beginning of a TLS handshake, or of nothing.
                let none = try BlockingSocket(endpoint, timeout: 30_000)
                try none.write([0x16, 3, 1, 2, 0, 1])
                if index % 2 == 0 { none.resetAtClose() }
                sockets.append(none)
            }
        }
        // They are let go here, all at once.
        peers = []
        sockets = []
    }

    private func token(_ user: String) throws -> String {
        let now = Date().timeIntervalSince1970
        let rooms = (0..<Self.crowd).map { "\"doc:\($0)\":\"viewer\"" }.joined(separator: ",")
        let claims = [
            ("sub", "\"\(user)\""), ("iat", String(format: "%.3f", now)), ("exp", String(format: "%.3f", now + 600)),
            ("permissions", "{\(rooms)}"),
        ]
        return String(decoding: try signer.sign(claims.map { (name: $0.0, json: Array($0.1.utf8)) }), as: UTF8.self)
    }

    /// What the process has to itself: pages of its program come and go as they are needed.
    private func resident(_ gate: GateProcess) throws -> Int {
        let words = try String(contentsOfFile: "/proc/\(gate.pid)/statm", encoding: .utf8).split(separator: " ")
        let pages = words.count > 2 ? (Int(words[1]) ?? 0) - (Int(words[2]) ?? 0) : 0
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
