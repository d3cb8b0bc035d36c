public import PortcullisCore

/// The answers to a handshake, appended to a buffer that is used again.
public enum HandshakeResponse {
    /// Appends what is to be hashed with SHA-1 for `Sec-WebSocket-Accept` (RFC 6455, section 4.2.2, point 5.4): the key as it was
    /// written, and the GUID of the protocol; 60 bytes.
    public static func appendAcceptInput(key: Range<Int>, _ bytes: Span<UInt8>, to buffer: inout [UInt8]) {
        buffer.append(key, of: bytes)
        buffer.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
    }

    /// Appends the 101 that opens the connection.
    ///
    /// - Parameters:
    ///   - accept: the SHA-1 of the accept input, 20 bytes, not encoded.
    ///   - subprotocol: what was chosen; its name stands in `bytes`.
    ///   - bytes: the request head.
    public static func appendUpgrade(
        accept: Span<UInt8>,
        subprotocol: Subprotocol,
        _ bytes: Span<UInt8>,
        to buffer: inout [UInt8]
    ) {
        buffer.append(
            """
            HTTP/1.1 101 Switching Protocols\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Accept:\u{20}
            """
        )
        Base64.append(accept, to: &buffer)
        if let name = subprotocol.echoed {
            buffer.append("\r\nSec-WebSocket-Protocol: ")
            buffer.append(name, of: bytes)
        }
        buffer.append("\r\n\r\n")
    }

    /// Appends a refusal over HTTP: a problem document (RFC 9457) that tells no more than its code.
    ///
    /// - Parameters:
    ///   - requestID: what the log line of the refusal carries as well.
    ///   - retryAfter: seconds; said with 429 and 503 only.
    public static func appendRefusal(
        _ outcome: Outcome,
        requestID: [UInt8],
        retryAfter: Int = 1,
        to buffer: inout [UInt8]
    ) {
        let body = problem(outcome, requestID)
        let row = outcome.row
        buffer.append("HTTP/1.1 ")
        buffer.append(decimal: row.status)
        buffer.append(" ")
        buffer.append(reasonPhrase(row.status))
        buffer.append("\r\nConnection: close\r\nCache-Control: no-store\r\nContent-Type: application/problem+json\r\n")
        switch row.status {
        case 401: appendChallenge(outcome, to: &buffer)
        case 426: buffer.append("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n")
        case 429, 503:
            buffer.append("Retry-After: ")
            buffer.append(decimal: max(0, retryAfter))
            buffer.append("\r\n")
        default: break
        }
        buffer.append("Content-Length: ")
        buffer.append(decimal: body.count)
        buffer.append("\r\n\r\n")
        buffer.append(contentsOf: body)
    }

    /// RFC 6750, section 3. A request without a credential is told the scheme and nothing else (section 3.1); the scheme needs a
    /// parameter, so that it is the realm.
    private static func appendChallenge(_ outcome: Outcome, to buffer: inout [UInt8]) {
        guard outcome != .missingCredential else {
            buffer.append("WWW-Authenticate: Bearer realm=\"portcullis\"\r\n")
            return
        }
        buffer.append("WWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"")
        buffer.append(contentsOf: outcome.row.title.utf8)
        buffer.append("\"\r\n")
    }

    private static func problem(_ outcome: Outcome, _ requestID: [UInt8]) -> [UInt8] {
        let row = outcome.row
        var body: [UInt8] = []
        body.reserveCapacity(320)
        body.append("{\"type\":\"urn:portcullis:")
        body.append(contentsOf: outcome.rawValue.utf8)
        body.append("\",\"title\":\"")
        body.append(contentsOf: row.title.utf8)
        body.append("\",\"status\":")
        body.append(decimal: row.status)
        body.append(",\"code\":\"")
        body.append(contentsOf: outcome.rawValue.utf8)
        body.append("\",\"detail\":\"")
        body.append(contentsOf: row.title.utf8)
        body.append("\",\"request_id\":\"")
        // The gate's own, of letters and digits; whatever else one day stands in it must not break the document.
        body.append(contentsOf: requestID.lazy.filter { ByteSet.bearer.contains($0) })
        body.append("\"}")
        return body
    }

    /// RFC 9110, section 15; RFC 6585.
    private static func reasonPhrase(_ status: Int) -> StaticString {
        switch status {
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 408: "Request Timeout"
        case 413: "Content Too Large"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 503: "Service Unavailable"
        default: "Refused"
        }
    }
}
