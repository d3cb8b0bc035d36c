/// An IPv4 or IPv6 address. An IPv4 address is held as its IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2), so that both compare
/// and mask alike.
public struct IPAddress: Hashable, Sendable {
    public let high: UInt64
    public let low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An IPv4 address, its first octet the most significant.
    public init(v4 bits: UInt32) {
        self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(bits))
    }

    public var isV4: Bool {
        high == 0 && low >> 32 == 0xFFFF
    }

    /// Dotted decimal, or the text of RFC 4291, section 2.2 (one `::` allowed); no zone.
    public init?(_ text: some StringProtocol) {
        if let v4 = Self.v4(text) {
            self.init(v4: v4)
            return
        }
        guard let groups = Self.groups(text) else { return nil }
        let words = stride(from: 0, to: 8, by: 4).map { first in
            groups[first..<first + 4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
        }
        self.init(high: words[0], low: words[1])
    }

    private static func v4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            // A leading zero is octal to some readers and decimal to others.
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                part.utf8.count == 1 || part.utf8.first != 0x30, let octet = UInt8(part)
            else { return nil }
            bits = bits << 8 | UInt32(octet)
        }
        return bits
    }

    private static func groups(_ text: some StringProtocol) -> [UInt16]? {
        var halves: [[UInt16]] = [[]]
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard (3...9).contains(parts.count) else { return nil }
        for (index, part) in parts.enumerated() {
            if part.isEmpty {
                let atStart = index == 0 && parts[1].isEmpty
                let atEnd = index == parts.count - 1 && parts[index - 1].isEmpty
                if atStart || atEnd { continue }
                guard index > 0, index < parts.count - 1, halves.count == 1 else { return nil }
                halves.append([])
            } else if index == parts.count - 1, part.contains(".") {
                guard let v4 = v4(part) else { return nil }
                halves[halves.count - 1] += [UInt16(v4 >> 16), UInt16(truncatingIfNeeded: v4)]
            } else {
                guard part.utf8.count <= 4, part.utf8.allSatisfy({ $0 != 0x2B && $0 != 0x2D }),
                    let group = UInt16(part, radix: 16)
                else { return nil }
                halves[halves.count - 1].append(group)
            }
        }
        let count = halves.reduce(0) { $0 + $1.count }
        guard halves.count == 2 ? count < 8 : count == 8 else { return nil }
        return halves[0] + Array(repeating: 0, count: 8 - count) + (halves.count == 2 ? halves[1] : [])
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted decimal, or the text that RFC 5952 recommends, so that it is found by whoever looks for it.
    public var description: String {
        if isV4 {
            return (0..<4).map { String(low >> (24 - 8 * UInt64($0)) & 0xFF) }.joined(separator: ".")
        }
        let groups = (0..<8).map { group in
            let word = group < 4 ? high : low
            return word >> (48 - 16 * UInt64(group % 4)) & 0xFFFF
        }
        let zeros = Self.longestZeros(groups)
        let texts = groups.map { String($0, radix: 16) }
        guard zeros.count > 1 else { return texts.joined(separator: ":") }
        return texts[..<zeros.lowerBound].joined(separator: ":") + "::"
            + texts[zeros.upperBound...].joined(separator: ":")
    }

    /// The first of the longest runs of zeros.
    private static func longestZeros(_ groups: [UInt64]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<index + 1
            }
        }
        return longest
    }
}

/// An address with the number of its leading bits that count: CIDR (RFC 4632).
public struct IPNetwork: Hashable, Sendable {
    /// The first address of the network.
    public let address: IPAddress
    /// 0–128, counted in the IPv6 form: 96 more than in IPv4.
    public let prefix: UInt8

    /// `192.0.2.0/24`, `2001:db8::/32`, or one address. Behind an address with colons the prefix counts all 128 bits, also where the
    /// address is an IPv4-mapped one.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { return nil }
        var prefix: UInt8 = 128
        if parts.count == 2 {
            let digits = parts[1].utf8
            let dotted = !first.utf8.contains(UInt8(ascii: ":"))
            guard (1...3).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
                let length = UInt8(parts[1]), length <= (dotted ? 32 : 128)
            else { return nil }
            prefix = dotted ? length + 96 : length
        }
        self.prefix = prefix
        self.address = Self.mask(address, prefix)
    }

    /// The network of an address.
    /// - Parameter prefix: in the IPv6 form; what is above 128 is 128.
    public init(_ address: IPAddress, prefix: UInt8) {
        self.prefix = min(prefix, 128)
        self.address = Self.mask(address, self.prefix)
    }

    private static func mask(_ address: IPAddress, _ prefix: UInt8) -> IPAddress {
        let high = prefix >= 64 ? UInt64.max : ~(UInt64.max >> UInt64(prefix))
        let low = prefix <= 64 ? 0 : ~(UInt64.max >> UInt64(prefix - 64))
        return IPAddress(high: address.high & high, low: address.low & (prefix >= 128 ? .max : low))
    }

    public func contains(_ other: IPAddress) -> Bool {
        Self.mask(other, prefix) == address
    }
}

extension IPNetwork: CustomStringConvertible {
    public var description: String {
        if prefix == 128 { return address.description }
        return "\(address)/\(address.isV4 && prefix >= 96 ? prefix - 96 : prefix)"
    }
}
