import PortcullisCore
import PortcullisWire

/// The bytes are a query; what is found in it is what a reader without cleverness finds.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzQuery(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let query = input(data, size)
    let bytes = Array("GET /ws?".utf8) + query + Array(rest.utf8)
    var head = RequestHead()
    guard case .complete(let length) = head.parse(bytes.span), length == bytes.count else { return 0 }
    guard let request = try? UpgradeRequest(head, bytes.span) else {
        preconditionFailure("a query makes a handshake malformed")
    }
    precondition(!query.contains(32) && !query.contains(13))
    var tickets: [[UInt8]] = []
    var tokens: [[UInt8]] = []
    for part in query.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false) {
        if part.starts(with: Array("ticket=".utf8)) { tickets.append(decoded(part.dropFirst(7))) }
        if part.starts(with: Array("access_token=".utf8)) { tokens.append(decoded(part.dropFirst(13))) }
    }
    do throws(Refusal) {
        let credential = try source.credential(of: request, head, bytes.span)
        precondition(tickets.count + tokens.count == 1)
        switch credential {
        case .ticket(let ticket): precondition(tickets == [ticket.bytes])
        case .token(let token, _): precondition(tokens == [token])
        case .session, .signedSession, nil: preconditionFailure("a credential from nowhere")
        }
    } catch {
        switch error.outcome {
        case .missingCredential: precondition(tickets.isEmpty && tokens.isEmpty)
        case .ambiguousCredential: precondition(tickets.count + tokens.count > 1)
        case .badTicket: precondition(tickets.count == 1 && tokens.isEmpty)
        case .malformedToken: precondition(tokens.count == 1 && tickets.isEmpty)
        default: preconditionFailure("\(error.outcome)")
        }
    }
    return 0
}

private func decoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    var at = text.startIndex
    while at < text.endIndex {
        let digits = text[at...].dropFirst().prefix(2)
        if text[at] == UInt8(ascii: "%"), let byte = UInt8(String(decoding: digits, as: UTF8.self), radix: 16) {
            bytes.append(byte)
            at += 3
        } else {
            bytes.append(text[at])
            at += 1
        }
    }
    return bytes
}

private let rest = """
     HTTP/1.1\r
    Host: a.test\r
    Upgrade: websocket\r
    Connection: Upgrade\r
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
    Sec-WebSocket-Version: 13\r
    \r\n
    """

private let source = CredentialSource(tokens: [.query], longestToken: 256)
