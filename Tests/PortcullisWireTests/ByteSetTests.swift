import Testing

@testable import PortcullisWire

@Suite struct ByteSetTests {
    /// Both ways of asking answer the same of every byte, and nothing beyond ASCII is in any set.
    @Test func withAndWithoutABranch() {
        for set in [ByteSet.token, .path, .query, .bearer, .base64] {
            for byte in UInt8.min...UInt8.max {
                #expect(set.has(byte) == (set.contains(byte) ? 1 : 0))
                if byte > 127 { #expect(set.has(byte) == 0) }
            }
        }
    }
}
