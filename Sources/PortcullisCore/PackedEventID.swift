/// The id of an event in as few bytes as its form allows: a ULID in 16, one that is made of a payload (`h:` and a SHA-256) in 32.
enum PackedEventID {
    enum Form: UInt8 {
        case ulid
        case hash
        case text
    }

    private static let letters = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
    private static let digits = Array("0123456789abcdef".utf8)

    /// The value of a letter of a ULID (Crockford's base 32, which has no I, L, O and U); 255 for what is none.
    private static func value(_ letter: UInt8) -> UInt8 {
        let digit = letter &- UInt8(ascii: "0")
        if digit < 10 { return digit }
        let place = letter &- UInt8(ascii: "A")
        switch place {
        case 0..<8: return 10 + place
        case 9..<11: return 9 + place
        case 12..<14: return 8 + place
        case 15..<20: return 7 + place
        case 21..<26: return 6 + place
        default: return 255
        }
    }

    private static func nibble(_ digit: UInt8) -> UInt8 {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: 255
        }
    }

    /// Appends an id and says in which form. Only the very bytes that ``unpack(_:_:)`` gives back are packed.
    static func pack(_ id: [UInt8], to bytes: inout [UInt8]) -> Form {
        pack(id.span, to: &bytes)
    }

    static func pack(_ id: Span<UInt8>, to bytes: inout [UInt8]) -> Form {
        if id.count == 26, appendULID(id, to: &bytes) { return .ulid }
        if id.count == 66, id[0] == UInt8(ascii: "h"), id[1] == UInt8(ascii: ":"), appendHash(id, to: &bytes) {
            return .hash
        }
        // Event ids have at most 255 bytes.
        bytes.append(UInt8(clamping: id.count))
        for at in 0..<min(id.count, 255) { bytes.append(id[at]) }
        return .text
    }

    private static func appendULID(_ id: Span<UInt8>, to bytes: inout [UInt8]) -> Bool {
        var (high, low) = (UInt64(0), UInt64(0))
        for at in id.indices {
            let value = value(id[at])
            guard value < 32, high >> 59 == 0 else { return false }
            high = high << 5 | low >> 59
            low = low << 5 | UInt64(value)
        }
        append(high, to: &bytes)
        append(low, to: &bytes)
        return true
    }

    private static func appendHash(_ id: Span<UInt8>, to bytes: inout [UInt8]) -> Bool {
        let start = bytes.count
        for at in stride(from: 2, to: 66, by: 2) {
            let (high, low) = (nibble(id[at]), nibble(id[at + 1]))
            guard high < 16, low < 16 else {
                bytes.removeLast(bytes.count - start)
                return false
            }
            bytes.append(high << 4 | low)
        }
        return true
    }

    private static func append(_ word: UInt64, to bytes: inout [UInt8]) {
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
        }
    }

    /// How many bytes an id takes that begins at a place.
    static func length(_ form: Form, _ bytes: Span<UInt8>, at: Int) -> Int {
        switch form {
        case .ulid: 16
        case .hash: 32
        case .text: 1 + Int(bytes[at])
        }
    }

    /// The id that was packed.
    static func unpack(_ form: Form, _ bytes: Span<UInt8>, at: Int) -> [UInt8] {
        var id: [UInt8] = []
        switch form {
        case .ulid:
            id.reserveCapacity(26)
            var (high, low) = (UInt64(0), UInt64(0))
            for index in 0..<8 {
                high = high << 8 | UInt64(bytes[at + index])
                low = low << 8 | UInt64(bytes[at + 8 + index])
            }
            for shift in stride(from: 125, through: 0, by: -5) {
                let bits =
                    shift >= 64
                    ? high >> UInt64(shift - 64) : low >> UInt64(shift) | (shift > 59 ? high << UInt64(64 - shift) : 0)
                id.append(letters[Int(bits & 31)])
            }
        case .hash:
            id.reserveCapacity(66)
            id.append(contentsOf: "h:".utf8)
            for index in 0..<32 {
                id.append(digits[Int(bytes[at + index] >> 4)])
                id.append(digits[Int(bytes[at + index] & 15)])
            }
        case .text:
            let count = Int(bytes[at])
            id.reserveCapacity(count)
            for index in 0..<count { id.append(bytes[at + 1 + index]) }
        }
        return id
    }
}
