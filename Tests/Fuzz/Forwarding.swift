import PortcullisCore
import PortcullisWire

/// The bytes are values of `X-Forwarded-For`, a line each. What the client wrote in front of them itself changes nothing, and the address
/// that is believed stands in them.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzForwarding(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let values = input(data, size).split(separator: 10, omittingEmptySubsequences: false).prefix(8).map(Array.init)
    guard let client = believed(values) else { return 0 }
    let elements = values.flatMap { $0.split(separator: UInt8(ascii: ",")) }.map(trimmed).filter { !$0.isEmpty }
    switch client {
    case .peer: precondition(elements.isEmpty)
    case .unreadable: precondition(!elements.isEmpty)
    case .forwarded(let address):
        precondition(elements.contains { spelt(address, $0) }, "an address from nowhere")
        let isLast = !trusted.trusts(address)
        for forged in ["192.0.2.66", "nonsense", ",", "10.0.0.1, 192.0.2.66"] {
            let front = Array((forged + ",").utf8)
            let longer = front + (values.first ?? [])
            guard isLast else { break }
            precondition(client == believed([longer] + values.dropFirst()), "a forged element counts")
            precondition(client == believed([front] + values), "a forged line counts")
        }
        // The same, a line an element.
        precondition(client == believed(elements) || elements.count > 8)
    }
    return 0
}

/// nil where the lines are no header lines.
private func believed(_ values: [[UInt8]]) -> Forwarding.Client? {
    var request = Array("GET /ws HTTP/1.1\r\nHost: a.test\r\n".utf8)
    for value in values { request += Array("X-Forwarded-For: ".utf8) + value + [13, 10] }
    request += [13, 10]
    var head = RequestHead()
    guard case .complete(let length) = head.parse(request.span), length == request.count else { return nil }
    return trusted.client(head, request.span)
}

private func trimmed(_ element: some Collection<UInt8>) -> [UInt8] {
    let isSpace = { (byte: UInt8) in byte == 32 || byte == 9 }
    return Array(element.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
}

/// Whether a text is an address, with or without brackets and a port.
private func spelt(_ address: IPAddress, _ element: [UInt8]) -> Bool {
    let text = String(decoding: element, as: UTF8.self)
    let bare = text.split(separator: "]").first.map { $0.first == "[" ? $0.dropFirst() : $0[...] } ?? ""
    let portless = text.split(separator: ":").first ?? ""
    return IPAddress(text) == address || IPAddress(bare) == address || IPAddress(portless) == address
}

private let trusted = Forwarding(trusted: ["10.0.0.0/8", "2001:db8:1::/48"].compactMap { IPNetwork($0) })
