import PortcullisCore
import PortcullisWire

/// The lines of a handshake that asks for nothing special; a test changes one of them.
struct Handshake {
    var request = "GET /ws HTTP/1.1"
    var lines = [
        "Host: gate.example.com",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]

    init(_ target: String = "/ws", _ more: String...) {
        request = "GET \(target) HTTP/1.1"
        lines += more
    }

    /// With another value for a header; nil takes it out.
    func with(_ name: String, _ value: String?) -> Handshake {
        var copy = self
        copy.lines.removeAll { $0.lowercased().hasPrefix(name.lowercased() + ":") }
        if let value { copy.lines.append("\(name): \(value)") }
        return copy
    }

    func adding(_ line: String) -> Handshake {
        var copy = self
        copy.lines.append(line)
        return copy
    }

    var bytes: [UInt8] {
        Array(([request] + lines + ["", ""]).joined(separator: "\r\n").utf8)
    }
}

/// The progress of a head that comes at once.
func progress(_ bytes: [UInt8], _ limits: HeadLimits = HeadLimits()) -> RequestHead.Progress {
    var head = RequestHead()
    return head.parse(bytes.span, limits: limits)
}

func outcome(_ progress: RequestHead.Progress) -> Outcome? {
    if case .refused(let refusal) = progress { refusal.outcome } else { nil }
}

/// The upgrade that a request asks for, or why it is none.
func upgrade(_ bytes: [UInt8], base: BasePath = .standard) -> Result<UpgradeRequest, Refusal> {
    var head = RequestHead()
    switch head.parse(bytes.span) {
    case .incomplete: return .failure(Refusal(.handshakeTimeout, "incomplete"))
    case .refused(let refusal): return .failure(refusal)
    case .complete:
        do throws(Refusal) {
            return .success(try UpgradeRequest(head, bytes.span, base: base))
        } catch {
            return .failure(error)
        }
    }
}

func outcome<Value>(_ result: Result<Value, Refusal>) -> Outcome? {
    if case .failure(let refusal) = result { refusal.outcome } else { nil }
}
