import PortcullisCore
import PortcullisWire

/// The first byte chooses how the rest, the beginning of a connection, is cut. Read as the gate reads it, never more than is asked for: any
/// cut ends at the same byte with the same verdict, and a header that is taken says what stands in it.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzProxy(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    guard let mode = bytes.first else { return 0 }
    let connection = Array(bytes.dropFirst())
    let whole = read(connection) { $0 }
    var random = UInt32(mode) &* 2_654_435_761 | 1
    let cut = read(connection) { most in
        random = random &* 1_664_525 &+ 1_013_904_223
        return 1 + Int(random >> 16) % most
    }
    precondition(read(connection) { _ in 1 }.verdict == whole.verdict)
    precondition(cut.verdict == whole.verdict, "the cut changes the verdict")
    switch whole.verdict {
    case .proxied, .local:
        // What is taken ends where it says, whatever comes behind.
        precondition(cut.taken == whole.taken)
        let length = Int(connection[14]) << 8 | Int(connection[15])
        precondition(whole.taken == ProxyHeader.fixedLength + length && length <= ProxyHeader.mostBehind)
        let alone = Array(connection[..<whole.taken])
        precondition(ProxyHeader.parse(alone.span) == whole.verdict)
        guard case .proxied(let address) = whole.verdict else { break }
        precondition(address == named(alone), "another address than the header's")
    case .incomplete: precondition(whole.taken == connection.count)
    case .refused: break
    }
    return 0
}

/// - Parameter piece: how many of the bytes that are asked for come at once.
private func read(_ bytes: [UInt8], _ piece: (Int) -> Int) -> (verdict: ProxyHeader, taken: Int) {
    var taken = 0
    var asked = ProxyHeader.fixedLength
    while taken < bytes.count {
        taken = min(bytes.count, taken + piece(asked))
        let prefix = Array(bytes[..<taken])
        guard case .incomplete(let more) = ProxyHeader.parse(prefix.span) else {
            return (ProxyHeader.parse(prefix.span), taken)
        }
        precondition(more > 0 && taken + more <= ProxyHeader.fixedLength + ProxyHeader.mostBehind)
        asked = more
    }
    return (.incomplete(atLeast: 0), taken)
}

private func named(_ header: [UInt8]) -> IPAddress? {
    if header[13] == 0x11 { return IPAddress(header[16..<20].map(String.init).joined(separator: ".")) }
    let words = stride(from: 16, to: 32, by: 2).map { String(Int(header[$0]) << 8 | Int(header[$0 + 1]), radix: 16) }
    return IPAddress(words.joined(separator: ":"))
}
