/// ECDSA signatures as JWS has them (r and s behind each other, each as long as a coordinate: RFC 7518, section 3.4) and as OpenSSL
/// has them (a DER sequence of two integers).
struct ECDSASignature {
    private let curve: EllipticCurve
    private let order: [UInt8]

    init(_ curve: EllipticCurve) {
        self.curve = curve
        self.order = curve.order
    }

    /// Writes the DER form; false where the length is not exactly right or r or s is not within 1…n-1.
    func encode(_ raw: Span<UInt8>, into output: inout [UInt8]) -> Bool {
        let size = curve.byteCount
        guard raw.count == 2 * size else { return false }
        let r = raw.extracting(0..<size)
        let s = raw.extracting(size..<2 * size)
        guard isInRange(r), isInRange(s) else { return false }
        output.removeAll(keepingCapacity: true)
        let length = Self.integerLength(r) + Self.integerLength(s)
        output.append(0x30)
        // Both integers of P-521 together need more than 127 bytes, which takes the long form of a length.
        if length > 127 { output.append(0x81) }
        output.append(UInt8(length))
        Self.append(r, to: &output)
        Self.append(s, to: &output)
        return true
    }

    private func isInRange(_ number: Span<UInt8>) -> Bool {
        var isZero = true
        for at in number.indices where number[at] != 0 {
            isZero = false
            break
        }
        if isZero { return false }
        for at in number.indices where number[at] != order[at] { return number[at] < order[at] }
        return false
    }

    private static func firstByte(_ number: Span<UInt8>) -> Int {
        var first = 0
        while first < number.count - 1, number[first] == 0 { first += 1 }
        return first
    }

    /// Tag, length and value; a zero in front keeps a set top bit from meaning a minus. At most 2 + 67 bytes.
    private static func integerLength(_ number: Span<UInt8>) -> Int {
        let first = firstByte(number)
        return 2 + number.count - first + (number[first] >= 0x80 ? 1 : 0)
    }

    private static func append(_ number: Span<UInt8>, to output: inout [UInt8]) {
        let first = firstByte(number)
        output.append(0x02)
        output.append(UInt8(integerLength(number) - 2))
        if number[first] >= 0x80 { output.append(0) }
        for at in first..<number.count { output.append(number[at]) }
    }

    /// The raw form of what OpenSSL signed; nil where it is not the DER that OpenSSL writes.
    func decode(_ der: [UInt8]) -> [UInt8]? {
        var at = der.count > 1 && der[1] == 0x81 ? 3 : 2
        guard der.first == 0x30 else { return nil }
        var raw: [UInt8] = []
        for _ in 0..<2 {
            guard at + 2 <= der.count, der[at] == 0x02 else { return nil }
            let end = at + 2 + Int(der[at + 1])
            guard end <= der.count else { return nil }
            let digits = der[(at + 2)..<end].drop(while: { $0 == 0 })
            guard digits.count <= curve.byteCount else { return nil }
            raw.append(contentsOf: repeatElement(0, count: curve.byteCount - digits.count))
            raw.append(contentsOf: digits)
            at = end
        }
        return at == der.count ? raw : nil
    }
}
