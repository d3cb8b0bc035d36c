import PortcullisCore
import TestKit
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:c000:201", "192.0.2.1"), ("0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"),
        ("::", "::"), ("::1", "::1"), ("1::", "1::"),
        ("2001:DB8::1", "2001:db8::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1::8", "1::8"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("::1.2.3.4", "::102:304"),
        ("64:ff9b::1.2.3.4", "64:ff9b::102:304"), ("0001::", "1::"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"), ("0:0:1:2:3:4:5:0", "::1:2:3:4:5:0"),
    ])
    func valid(_ text: String, _ shown: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == shown)
        #expect(IPAddress(shown) == address)
        #expect(address.isV4 == shown.contains("."))
    }

    @Test(arguments: [
        "", ".", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.0.0.1", "01.2.3.4", "1.2.3.04",
        "1.2.3.+4",
        "1.2.3.-4", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4/8", "0x1.2.3.4", "1.2.3.1000", "\u{661}.2.3.4", "localhost",
        ":", ":::", "1:", ":1", "1:2", "1:2:", ":1:2", "1:2:3", "1:2:3:", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:", "1::2::3", "::1::", ":::1", "1:::", "12345::", "g::", "+1::", "-1::",
        "::1%eth0", "[::1]", "1::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::1.2.3.4:1", "::01.2.3.4",
        "1.2.3.4::",
    ])
    func invalid(_ text: String) {
        #expect(IPAddress(text) == nil)
        #expect(IPNetwork(text) == nil || text.contains("/"))
    }

    @Test func anIPv4AddressIsItsMappedForm() {
        #expect(IPAddress("192.0.2.1") == IPAddress("::ffff:192.0.2.1"))
        #expect(IPAddress("192.0.2.1") == IPAddress(v4: 0xC000_0201))
        #expect(IPAddress("192.0.2.1") != IPAddress("::192.0.2.1"))
    }
}

@Suite struct IPNetworkTests {
    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.0/24"), ("192.0.2.77/24", "192.0.2.0/24"), ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"), ("0.0.0.0/0", "0.0.0.0/0"), ("10.255.0.0/9", "10.128.0.0/9"),
        ("2001:db8::/32", "2001:db8::/32"), ("2001:db8::1/128", "2001:db8::1"),
        ("::1", "::1"),
        ("2001:db8:0:0:ffff::1/64", "2001:db8::/64"), ("::ffff:192.0.2.77/120", "192.0.2.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"), ("::ffff:192.0.2.1/128", "192.0.2.1"), ("::/0", "::/0"),
        ("ffff::/1", "8000::/1"), ("1:2:3:ffff:ffff::/65", "1:2:3:ffff:8000::/65"),
    ])
    func valid(_ text: String, _ shown: String) throws {
        let network = try #require(IPNetwork(text))
        #expect(network.description == shown)
        #expect(IPNetwork(shown) == network)
    }

    @Test(arguments: [
        "", "/", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.0/ 8", "192.0.2.0/8/8",
        "192.0.2.0/256", "192.0.2.0/0x8", "2001:db8::/129", "2001:db8::/", "192.0.2/24", "a/24", "192.0.2.0/1000",
    ])
    func invalid(_ text: String) {
        #expect(IPNetwork(text) == nil)
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.0/24", "::ffff:192.0.2.9", true),
        ("192.0.2.0/24", "::192.0.2.9", false), ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
        ("0.0.0.0/0", "203.0.113.7", true), ("0.0.0.0/0", "2001:db8::1", false), ("10.0.0.0/9", "10.127.255.255", true),
        ("10.0.0.0/9", "10.128.0.0", false), ("2001:db8::/32", "2001:db8:ffff::", true),
        ("2001:db8::/32", "2001:db9::", false),
        ("2001:db8::/64", "2001:db8:0:0:1::", true), ("2001:db8::/64", "2001:db8:0:1::", false),
        ("2001:db8::/65", "2001:db8::8000:0:0:0", false), ("2001:db8::/127", "2001:db8::1", true),
        ("2001:db8::/127", "2001:db8::2", false), ("::ffff:192.0.2.0/24", "192.0.2.9", true),
        ("::ffff:192.0.2.0/24", "::1", true),
    ])
    func contains(_ network: String, _ address: String, _ contained: Bool) throws {
        #expect(try #require(IPNetwork(network)).contains(try #require(IPAddress(address))) == contained)
    }

    /// Bit by bit, against the text of both addresses in binary.
    @Test func agreesWithBits() throws {
        var generator = SeededGenerator(seed: 51)
        for _ in 0..<3000 {
            let high = UInt64.random(in: .min ... .max, using: &generator)
            let address = IPAddress(high: high, low: .random(in: .min ... .max, using: &generator))
            let bit = Int.random(in: 0..<128, using: &generator)
            let flipped = IPAddress(
                high: address.high ^ (bit < 64 ? 1 << (63 - UInt64(bit)) : 0),
                low: address.low ^ (bit < 64 ? 0 : 1 << (127 - UInt64(bit)))
            )
            let prefix = Int.random(in: 0...128, using: &generator)
            let network = try #require(IPNetwork("\(address)/\(prefix)"))
            #expect(network.contains(address))
            #expect(network.contains(flipped) == (bit >= prefix))
        }
    }
}
