import Foundation
import PortcullisCore
import PortcullisReactor
import PortcullisWire
import TestKit
import Testing

@testable import PortcullisGate

/// Gates behind proxies: whose address counts.
@Suite(.serialized) struct ProxyTests {
    private static let trusted = Forwarding(trusted: ["127.0.0.0/8"].compactMap { IPNetwork($0) })
    private static let bad = "Authorization: Bearer x.y.z"

    private func gate(_ change: @escaping (inout GateConfiguration) -> Void = { _ in }) throws -> GateUnderTest {
        try GateUnderTest {
            $0.forwarding = Self.trusted
            $0.reportsAdmissions = true
            change(&$0)
        }
    }

    private func connect(
        _ test: GateUnderTest,
        _ user: String,
        _ headers: String...,
        preamble: [UInt8] = [],
        securedBy tls: TLSClient? = nil
    ) throws -> WebSocketPeer {
        let all = ["Authorization: Bearer \(try test.token(user))", "Sec-WebSocket-Protocol: portcullis.v1"] + headers
        return try WebSocketPeer(test.gate.endpoint, headers: all, securedBy: tls, preamble: preamble)
    }

    private func admitted(_ test: GateUnderTest) -> [String] {
        test.reports.all.compactMap {
            if case .admitted(_, _, _, let address) = $0 { address?.description ?? "none" } else { nil }
        }
    }

    private func refusals(_ test: GateUnderTest) -> [Refusal] {
        test.reports.all.compactMap { if case .refused(_, let refusal) = $0 { refusal } else { nil } }
    }

    private func header(_ address: [UInt8], values: [UInt8] = []) -> [UInt8] {
        let behind = address + [10, 0, 0, 1, 0x12, 0x34, 0, 80] + values
        return [
            0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x21, 0x11, 0, UInt8(behind.count),
        ]
            + behind
    }

    // MARK: - X-Forwarded-For

    @Test func theForwardedAddressIsLoggedBlockedAndThrottled() throws {
        let test = try gate { $0.throttle.failuresPerMinute = 3 }
        let peer = try connect(test, "alice", "X-Forwarded-For: 1.2.3.4, 198.51.100.4")
        _ = try peer.receive(type: "welcome")
        #expect(admitted(test) == ["198.51.100.4"])
        try test.append(.block(Selector(network: IPNetwork("198.51.100.0/24")), except: nil, until: nil))
        #expect(try peer.receiveClose() == .close(4423, "blocked"))
        try test.wait("the block stands") {
            try connect(test, "alice", "X-Forwarded-For: 198.51.100.9").status == 403
        }
        #expect(try connect(test, "alice", "X-Forwarded-For: 198.51.101.9").status == 101)
        // One client behind the proxy shuts out itself.
        for _ in 0..<3 {
            let failed = try WebSocketPeer(test.gate.endpoint, headers: [Self.bad, "X-Forwarded-For: 203.0.113.5"])
            #expect(failed.status == 401)
        }
        #expect(try connect(test, "bob", "X-Forwarded-For: 203.0.113.5").status == 429)
        #expect(try connect(test, "bob", "X-Forwarded-For: 203.0.113.6").status == 101)
    }

    @Test func aTrustedProxyThatNamesNobodyIsNotShutOut() throws {
        let test = try gate { $0.throttle = .init(failuresPerMinute: 1, throttlesPrivate: true) }
        for _ in 0..<3 { #expect(try WebSocketPeer(test.gate.endpoint, headers: [Self.bad]).status == 401) }
        #expect(try connect(test, "alice", "X-Forwarded-For: unknown").status == 101)
        #expect(try connect(test, "alice", "X-Forwarded-For: unknown").status == 101)
        #expect(admitted(test) == ["127.0.0.1", "127.0.0.1"])
        try test.wait("it is counted") { test.gate.status.unreadableForwards == 2 }
        #expect(test.reports.all.count { if case .forwardUnreadable = $0 { true } else { false } } == 1)
    }

    @Test func aStrangersHeaderIsNotBelievedAndToldOnce() throws {
        let test = try gate { $0.forwarding = Forwarding(trusted: ["10.0.0.0/8"].compactMap { IPNetwork($0) }) }
        for _ in 0..<3 { #expect(try connect(test, "alice", "X-Forwarded-For: 198.51.100.4").status == 101) }
        #expect(admitted(test) == ["127.0.0.1", "127.0.0.1", "127.0.0.1"])
        #expect(test.reports.all.count { if case .forwardNotTrusted = $0 { true } else { false } } == 1)
    }

    /// Where the proxy says that the page came by TLS, its origin is `https` and no other; of a stranger that is not believed.
    @Test func theForwardedSchemeDecidesWhatIsTheSameOrigin() throws {
        for trusts in [true, false] {
            let test = try gate { if !trusts { $0.forwarding = Forwarding() } }
            try test.redis.ask("SET", "session:s1", #"{"user_id":"alice"}"#)
            for (proto, scheme, status) in [("https", "http", 403), ("https", "https", 101), ("http", "http", 101)] {
                let headers = [
                    "Cookie: session_id=s1", "Origin: \(scheme)://\(test.gate.endpoint)", "X-Forwarded-Proto: \(proto)",
                ]
                #expect(try WebSocketPeer(test.gate.endpoint, headers: headers).status == (trusts ? status : 101))
            }
        }
    }

    // MARK: - PROXY

    @Test func theProxyHeaderNamesTheClient() throws {
        let test = try gate { $0.proxyProtocol = .v2 }
        for values in [[], [UInt8](repeating: 4, count: 100)] as [[UInt8]] {
            let peer = try connect(test, "alice", preamble: header([198, 51, 100, 4], values: values))
            _ = try peer.receive(type: "welcome")
            try peer.send(text: #"{"type":"publish","data":1}"#)
            #expect(try peer.receive(type: "error")["code"] as? String == "bad_resource")
        }
        #expect(admitted(test) == ["198.51.100.4", "198.51.100.4"])
        // The header's address is no trusted one, so that what the client writes itself is not believed.
        _ = try connect(test, "alice", "X-Forwarded-For: 1.2.3.4", preamble: header([198, 51, 100, 5]))
        #expect(admitted(test).last == "198.51.100.5")
    }

    @Test func theHeaderStandsInFrontOfTLS() throws {
        let certificates = try Certificates()
        let context = try certificates.server()
        let test = try gate {
            $0.tls = context
            $0.proxyProtocol = .v2
        }
        let client = try certificates.client("redis.test")
        let peer = try connect(test, "alice", preamble: header([198, 51, 100, 4]), securedBy: client)
        _ = try peer.receive(type: "welcome")
        #expect(admitted(test) == ["198.51.100.4"])
        // A trusted peer without it is no proxy.
        #expect(throws: (any Error).self) { try connect(test, "alice", securedBy: client) }
        #expect(refusals(test).last?.detail.contains("PROXY") == true)
    }

    /// The header's address is asked about before TLS is paid for.
    @Test func theHeadersAddressIsTurnedAwayBeforeTLS() throws {
        let certificates = try Certificates()
        let context = try certificates.server()
        let test = try gate {
            $0.tls = context
            $0.proxyProtocol = .v2
            $0.throttle.failuresPerMinute = 2
        }
        let client = try certificates.client("redis.test")
        let bad = header([198, 51, 100, 4])
        for _ in 0..<2 {
            let peer = try WebSocketPeer(test.gate.endpoint, headers: [Self.bad], securedBy: client, preamble: bad)
            #expect(peer.status == 401)
        }
        #expect(throws: (any Error).self) { try connect(test, "alice", preamble: bad, securedBy: client) }
        #expect(refusals(test).last?.outcome == .rateLimited)
        let other = try connect(test, "alice", preamble: header([198, 51, 100, 5]), securedBy: client)
        #expect(other.status == 101)
    }

    @Test func aTrustedPeerMustSendItAndAStrangerMustNot() throws {
        let test = try gate { $0.proxyProtocol = .v2 }
        #expect(throws: (any Error).self) { try connect(test, "alice") }
        #expect(refusals(test).map(\.outcome) == [.badRequest])
        let stranger = try gate {
            $0.forwarding = Forwarding()
            $0.proxyProtocol = .v2
        }
        #expect(try connect(stranger, "alice", preamble: header([198, 51, 100, 4])).status == 400)
        #expect(try connect(stranger, "alice").status == 101)
        #expect(admitted(stranger) == ["127.0.0.1"])
    }

    @Test func aHeaderThatDoesNotComeInTimeEndsTheConnection() throws {
        let test = try gate {
            $0.proxyProtocol = .v2
            $0.handshake = Milliseconds(200)
        }
        let part = Array(header([198, 51, 100, 4]).prefix(20))
        let socket = try BlockingSocket(test.gate.endpoint, timeout: 10_000, preamble: part)
        #expect(try socket.read().isEmpty)
        #expect(refusals(test).map(\.outcome) == [.handshakeTimeout])
    }
}
