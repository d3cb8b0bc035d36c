internal import NIOCore
internal import NIOHTTP1

/// The answer to a handshake (RFC 9112), of bytes in any split: pure.
///
/// It is read here and not by a general decoder, because a gate may send 101, its last message, a close frame and the end of the
/// connection at once: what follows the head must be handed on in the same turn, or the end overtakes it.
struct ResponseReader {
    enum Step {
        case more
        /// 101; what came behind it belongs to WebSocket.
        case switched(HTTPHeaders, rest: ByteBuffer)
        case refused(Refused)
        /// Not HTTP.
        case malformed
    }

    private enum Framing {
        case length(Int)
        case chunked
        case untilEnd
    }

    static let maximumHead = 16 << 10
    /// Far above any problem document.
    static let maximumBody = 64 << 10

    private var buffer = ByteBuffer()
    private var refusal: (status: Int, headers: HTTPHeaders, framing: Framing)?

    mutating func bytesReceived(_ bytes: ByteBuffer) -> Step {
        buffer.writeImmutableBuffer(bytes)
        while refusal == nil {
            guard let end = endOfHead() else {
                return buffer.readableBytes > Self.maximumHead || !looksLikeHTTP ? .malformed : .more
            }
            guard end <= Self.maximumHead, let head = buffer.readSlice(length: end),
                let (status, headers) = Self.parse(head: head)
            else { return .malformed }
            switch status {
            case 101: return .switched(headers, rest: buffer)
            // Interim answers, the real one follows.
            case 100..<200: continue
            default: refusal = (status, headers, Self.framing(status: status, headers: headers))
            }
        }
        return body(isLast: false)
    }

    /// The peer will say no more: a refusal whose head is there is one.
    mutating func ended() -> Step {
        body(isLast: true)
    }

    private func body(isLast: Bool) -> Step {
        guard let (status, headers, framing) = refusal else { return isLast ? .malformed : .more }
        var bytes = Array(buffer.readableBytesView.prefix(Self.maximumBody))
        var isWhole = isLast || bytes.count == Self.maximumBody
        switch framing {
        case .length(let length):
            isWhole = isWhole || bytes.count >= length
            bytes = Array(bytes.prefix(length))
        case .chunked:
            let (joined, isComplete) = Self.joinChunks(bytes)
            isWhole = isWhole || isComplete
            bytes = joined
        case .untilEnd:
            break
        }
        guard isWhole else { return .more }
        return .refused(
            Refused(
                status: status,
                contentType: headers.first(name: "Content-Type"),
                retryAfter: headers.first(name: "Retry-After"),
                body: bytes
            )
        )
    }

    // MARK: The head

    private var looksLikeHTTP: Bool {
        zip(buffer.readableBytesView, "HTTP/1.".utf8).allSatisfy { $0 == $1 }
    }

    /// The count of bytes to the end of the empty line.
    private func endOfHead() -> Int? {
        let bytes = buffer.readableBytesView
        var matched = 0
        for (index, byte) in zip(bytes.indices, bytes) {
            matched = byte == (matched % 2 == 0 ? 13 : 10) ? matched + 1 : (byte == 13 ? 1 : 0)
            if matched == 4 { return index - bytes.startIndex + 1 }
        }
        return nil
    }

    private static func parse(head: ByteBuffer) -> (status: Int, headers: HTTPHeaders)? {
        let text = String(buffer: head)
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false).dropLast(2)
        guard let first = lines.popFirst(), first.hasPrefix("HTTP/1.") else { return nil }
        let words = first.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count >= 2, words[1].utf8.count == 3, let status = Int(words[1]), status >= 100 else { return nil }
        var headers = HTTPHeaders()
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { return nil }
            let name = line[..<colon]
            guard name.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            let end = value.lastIndex { $0 != " " && $0 != "\t" }
            headers.add(name: String(name), value: end.map { String(value[...$0]) } ?? "")
        }
        return (status, headers)
    }

    // MARK: The body

    private static func framing(status: Int, headers: HTTPHeaders) -> Framing {
        if status == 204 || status == 304 { return .length(0) }
        if headers[canonicalForm: "Transfer-Encoding"].contains(where: { $0.lowercased() == "chunked" }) {
            return .chunked
        }
        guard let length = headers.first(name: "Content-Length").flatMap({ UInt($0) }) else { return .untilEnd }
        return .length(Int(clamping: length))
    }

    /// What is there of the chunks, and whether the last has come.
    private static func joinChunks(_ bytes: [UInt8]) -> ([UInt8], isComplete: Bool) {
        var body: [UInt8] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 13) {
            let size = rest[..<end].prefix { $0 != UInt8(ascii: ";") }
            guard let count = UInt32(String(decoding: size, as: UTF8.self), radix: 16), count > 0 else {
                return (body, true)
            }
            rest = rest[end...].dropFirst(2)
            body += rest.prefix(Int(count))
            rest = rest.dropFirst(Int(count)).dropFirst(2)
        }
        return (body, false)
    }
}
