import PortcullisCore
import PortcullisWire
import Testing

@Suite struct ForwardingTests {
    private let forwarding = Forwarding(
        trusted: ["10.0.0.0/8", "2001:db8:1::/48", "192.0.2.9"].compactMap { IPNetwork($0) }
    )

    private func client(_ lines: [String]) -> Forwarding.Client? {
        var handshake = Handshake()
        for line in lines { handshake = handshake.adding(line) }
        let bytes = handshake.bytes
        var head = RequestHead()
        guard case .complete = head.parse(bytes.span) else { return nil }
        return forwarding.client(head, bytes.span)
    }

    private static func address(_ text: String) -> Forwarding.Client {
        IPAddress(text).map { .forwarded($0) } ?? .peer
    }

    @Test(arguments: [
        ([], Forwarding.Client.peer),
        (["X-Forwarded-For: "], .peer), (["X-Forwarded-For: , ,"], .peer),
        (["X-Forwarded-For: 198.51.100.4"], address("198.51.100.4")),
        (["x-forwarded-for: 198.51.100.4:4711"], address("198.51.100.4")),
        (["X-Forwarded-For: 2001:db8::7"], address("2001:db8::7")),
        (["X-Forwarded-For: [2001:db8::7]"], address("2001:db8::7")),
        (["X-Forwarded-For: [2001:db8::7]:443"], address("2001:db8::7")),
        (["X-Forwarded-For: ::ffff:198.51.100.4"], address("198.51.100.4")),
        // From the end: what the client wrote itself stands in front.
        (["X-Forwarded-For: 1.2.3.4, 198.51.100.4"], address("198.51.100.4")),
        (["X-Forwarded-For: 1.2.3.4,198.51.100.4 , 10.1.2.3,192.0.2.9"], address("198.51.100.4")),
        (["X-Forwarded-For: nonsense, 198.51.100.4"], address("198.51.100.4")),
        (
            ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 198.51.100.4", "X-Forwarded-For: 10.0.0.1"],
            address("198.51.100.4")
        ),
        (["X-Forwarded-For: 198.51.100.4", "X-Forwarded-For:"], address("198.51.100.4")),
        (["X-Forwarded-For: 2001:db8:2::1, 2001:db8:1::1"], address("2001:db8:2::1")),
        // All are ours: the first of them.
        (["X-Forwarded-For: 10.0.0.7, 10.0.0.8"], address("10.0.0.7")),
        // Nobody knows who it is.
        (["X-Forwarded-For: unknown"], .unreadable), (["X-Forwarded-For: 198.51.100.4, _hidden"], .unreadable),
        (["X-Forwarded-For: unknown, 10.0.0.1"], .unreadable), (["X-Forwarded-For: 198.51.100.256"], .unreadable),
        (["X-Forwarded-For: 198.51.100.04"], .unreadable), (["X-Forwarded-For: 198.51.100.4:"], .unreadable),
        (["X-Forwarded-For: 198.51.100.4:65536"], .unreadable), (["X-Forwarded-For: 198.51.100.4:+1"], .unreadable),
        (["X-Forwarded-For: [198.51.100.4]"], .unreadable), (["X-Forwarded-For: [2001:db8::7"], .unreadable),
        (["X-Forwarded-For: [2001:db8::7]443"], .unreadable), (["X-Forwarded-For: [2001:db8::7]:x"], .unreadable),
        (["X-Forwarded-For: fe80::1%eth0"], .unreadable), (["X-Forwarded-For: \"198.51.100.4\""], .unreadable),
        (["X-Forwarded-For: 198.51.100.4;1.2.3.4"], .unreadable),
        (["X-Forwarded-For: " + String(repeating: "1", count: 200)], .unreadable),
    ])
    func whoIsBehindTheProxies(_ lines: [String], _ expected: Forwarding.Client) {
        #expect(client(lines) == expected)
    }

    @Test func whoIsTrusted() {
        #expect(forwarding.trusts(IPAddress("10.255.0.1")))
        #expect(forwarding.trusts(IPAddress("::ffff:10.255.0.1")))
        #expect(forwarding.trusts(IPAddress("192.0.2.9")) && !forwarding.trusts(IPAddress("192.0.2.8")))
        #expect(forwarding.trusts(IPAddress("2001:db8:1:ffff::")) && !forwarding.trusts(IPAddress("2001:db8:2::")))
        #expect(!forwarding.trusts(nil) && !Forwarding().trusts(IPAddress("10.0.0.1")))
    }

    @Test(
        arguments: [
            ([], nil), (["X-Forwarded-Proto: https"], true), (["X-Forwarded-Proto: HTTPS"], true),
            (["X-Forwarded-Proto: wss"], true), (["X-Forwarded-Proto: http"], false),
            // The nearest proxy's word is the last.
            (["X-Forwarded-Proto: https, http"], false),
            (["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], true),
        ] as [([String], Bool?)]
    )
    func whetherTheClientIsSecured(_ lines: [String], _ expected: Bool?) {
        var handshake = Handshake()
        for line in lines { handshake = handshake.adding(line) }
        let bytes = handshake.bytes
        var head = RequestHead()
        guard case .complete = head.parse(bytes.span) else {
            Issue.record("not whole")
            return
        }
        let secure = Forwarding.isSecure(head, bytes.span)
        #expect(secure == expected)
    }
}
