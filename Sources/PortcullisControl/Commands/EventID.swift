public import PortcullisCore

/// Makes event ids: ULIDs (time first, then 80 random bits, in Crockford's base 32), so that they sort by time.
public enum EventID {
    private static let letters = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    public static func make(at time: WallTime) -> Identifier {
        let milliseconds = UInt64(clamping: time.milliseconds)
        var text: [UInt8] = []
        for shift in stride(from: 45, through: 0, by: -5) {
            text.append(letters[Int(milliseconds >> UInt64(shift) & 31)])
        }
        for _ in 0..<16 { text.append(letters[Int.random(in: 0..<32)]) }
        return Identifier(bytes: text)
    }
}
