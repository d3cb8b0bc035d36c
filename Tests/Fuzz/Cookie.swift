import PortcullisCore
import PortcullisWire

/// The bytes are the value of `Cookie`, and then a session as it might stand in Redis.
///
/// What is found in the cookies is what a reader without cleverness finds.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzCookie(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let value = input(data, size)
    readSessions(value)
    let bytes = Array("GET /ws HTTP/1.1\r\nCookie: ".utf8) + value + Array("\r\n\(rest)".utf8)
    var head = RequestHead()
    // A line break ends the header: what comes behind it is another.
    guard !value.contains(13), !value.contains(10), case .complete(let length) = head.parse(bytes.span),
        length == bytes.count
    else { return 0 }
    guard let request = try? UpgradeRequest(head, bytes.span) else {
        preconditionFailure("a cookie makes a handshake malformed")
    }
    let sessions = values(of: "session_id", value)
    for source in sources {
        do throws(Refusal) {
            switch try source.credential(of: request, head, bytes.span) {
            case .session(let id):
                precondition(!source.signsSessions && sessions == [id.bytes] && id.isWellFormed)
            case .signedSession(let id, let signature):
                precondition(source.signsSessions && sessions.count == 1 && id.isWellFormed && signature.count == 32)
                var text: [UInt8] = []
                Base64.append(signature.span, to: &text)
                let signed = Array("s:".utf8) + id.bytes + Array(".".utf8) + text.dropLast()
                precondition(PercentEncoding.decode(sessions[0]) == signed, "two texts mean one signature")
            case .token, .ticket, nil: preconditionFailure("a credential from nowhere")
            }
        } catch {
            switch error.outcome {
            case .missingCredential: precondition(sessions.allSatisfy(\.isEmpty))
            case .ambiguousCredential: precondition(sessions.count > 1)
            case .unknownSession: precondition(sessions.count == 1)
            default: preconditionFailure("\(error.outcome)")
            }
        }
    }
    let client = PresentedClient(head, bytes.span)
    precondition(client.device == nil || values(of: "device_id", value).contains(client.device?.bytes ?? []))
    return 0
}

/// The values of a cookie, trimmed and without quotation marks, by splitting.
private func values(of name: String, _ text: [UInt8]) -> [[UInt8]] {
    text.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false).compactMap { pair in
        guard let equals = pair.firstIndex(of: UInt8(ascii: "=")),
            trimmed(pair[..<equals]).elementsEqual(name.utf8)
        else { return nil }
        let value = trimmed(pair[(equals + 1)...])
        let isQuoted = value.count > 1 && value.first == 0x22 && value.last == 0x22
        return Array(isQuoted ? value.dropFirst().dropLast() : value)
    }
}

private func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    let start = text.drop(while: isSpace)
    return start.prefix(upTo: start.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? start.startIndex)
}

private func readSessions(_ bytes: [UInt8]) {
    for format in SessionFormat.allCases {
        let codec = SessionCodec(
            format: format,
            userField: "passport.user",
            createdField: "created_at",
            roles: .standard
        )
        let fields = bytes.split(separator: 0, omittingEmptySubsequences: false).map { Array($0) }
        let stored: StoredSession = format == .hash ? .hash(fields) : .string(bytes)
        guard let session = try? codec.decode(stored, id: "id", expires: nil, &json) else { continue }
        precondition(session.identity.user.isWellFormed && session.identity.kind == .session)
        precondition(session.life?.count ?? 1 >= 1)
    }
}

private let sources = [CredentialSource(), CredentialSource(signsSessions: true)]

private let rest =
    "Host: gate.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    + "Sec-WebSocket-Version: 13\r\n\r\n"

// libFuzzer calls from one thread.
private nonisolated(unsafe) var json = StrictJSON(maximumDepth: 32)
