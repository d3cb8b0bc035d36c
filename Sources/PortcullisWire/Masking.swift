/// Masking (RFC 6455, section 5.3): the same operation both ways.
enum Masking {
    /// Changes the bytes from `start` on. `mask` has its first byte lowest and is that of the byte at `start`.
    static func apply(_ mask: UInt32, to bytes: inout [UInt8], from start: Int) {
        guard mask != 0 else { return }
        let wide = UInt64(mask) << 32 | UInt64(mask)
        var span = bytes.mutableSpan
        let count = span.count
        var at = start
        var raw = span.mutableBytes
        while at + 8 <= count {
            // `unsafe` because it could be asked for a type that not all bytes are values of; all are one of an integer. Its bounds
            // are checked.
            let word = raw.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self)
            raw.storeBytes(of: word ^ wide.littleEndian, toByteOffset: at, as: UInt64.self)
            at += 8
        }
        var key = mask
        while at < count {
            let byte = raw.unsafeLoad(fromByteOffset: at, as: UInt8.self)
            raw.storeBytes(of: byte ^ UInt8(truncatingIfNeeded: key), toByteOffset: at, as: UInt8.self)
            key = key >> 8 | key << 24
            at += 1
        }
    }

    /// The mask as it stands for a byte that many places further on.
    static func rotated(_ mask: UInt32, by places: Int) -> UInt32 {
        let bits = UInt32(places & 3) * 8
        return bits == 0 ? mask : mask >> bits | mask << (32 - bits)
    }
}
