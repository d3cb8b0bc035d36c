public import PortcullisCore

/// Writes one JSON object or array, member by member, into one buffer: nothing on the way there is copied or asks for memory.
public struct JSONBuilder: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    public init() {}

    /// One object: `JSONBuilder.object { $0.member("type", "error") }`.
    public static func object(_ members: (inout JSONBuilder) -> Void) -> [UInt8] {
        var bytes: [UInt8] = []
        // What most take.
        bytes.reserveCapacity(240)
        object(to: &bytes, members)
        return bytes
    }

    /// One object behind what stands in a buffer.
    public static func object(to buffer: inout [UInt8], _ members: (inout JSONBuilder) -> Void) {
        var builder = JSONBuilder()
        swap(&builder.bytes, &buffer)
        builder.object(members)
        swap(&builder.bytes, &buffer)
    }

    public mutating func object(_ members: (inout JSONBuilder) -> Void) {
        nested("{", "}", members)
    }

    public mutating func array(_ elements: (inout JSONBuilder) -> Void) {
        nested("[", "]", elements)
    }

    private mutating func nested(_ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONBuilder) -> Void) {
        comma()
        bytes.append(UInt8(ascii: open))
        needsComma = false
        body(&self)
        bytes.append(UInt8(ascii: close))
        needsComma = true
    }

    private mutating func comma() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    // MARK: - Names

    public mutating func name(_ name: Span<UInt8>) {
        value(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    public mutating func name(_ name: [UInt8]) {
        self.name(name.span)
    }

    public mutating func name(_ name: String) {
        value(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    // MARK: - Values

    /// A string; what is not UTF-8 becomes U+FFFD.
    public mutating func value(_ text: Span<UInt8>) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        appendEscaped(text)
        bytes.append(UInt8(ascii: "\""))
    }

    public mutating func value(_ text: Identifier) {
        value(text.bytes.span)
    }

    public mutating func value(_ text: String) {
        var text = text
        // The pointer does not leave the closure. A string of Swift's own is looked at where it stands.
        text.withUTF8 { value($0.span) }
    }

    /// A string of the bytes in base 64.
    public mutating func value(base64 data: [UInt8]) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        Base64.append(data.span, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// A string of the connection's name.
    public mutating func value(_ connection: ConnectionID) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        connection.append(to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    public mutating func value(_ number: Int64) {
        comma()
        bytes.append(decimal: number)
    }

    /// Milliseconds as a number of seconds, with a fraction where there is one.
    public mutating func value(seconds time: WallTime) {
        comma()
        let (seconds, rest) = time.milliseconds.quotientAndRemainder(dividingBy: 1000)
        if seconds == 0, rest < 0 { bytes.append(UInt8(ascii: "-")) }
        bytes.append(decimal: seconds)
        guard rest != 0 else { return }
        bytes.append(UInt8(ascii: "."))
        bytes.append(contentsOf: String(rest.magnitude + 1000).utf8.dropFirst())
    }

    public mutating func value(_ flag: Bool) {
        comma()
        bytes.append(flag ? "true" : "false")
    }

    public mutating func null() {
        comma()
        bytes.append("null")
    }

    /// JSON that is known to be valid.
    public mutating func raw(_ json: [UInt8]) {
        comma()
        bytes.append(contentsOf: json)
    }

    // MARK: - Members

    public mutating func member(_ name: String, _ text: Span<UInt8>) {
        self.name(name)
        value(text)
    }

    public mutating func member(_ name: String, _ text: Identifier) {
        self.name(name)
        value(text)
    }

    public mutating func member(_ name: String, _ text: String) {
        self.name(name)
        value(text)
    }

    public mutating func member(_ name: String, base64 data: [UInt8]) {
        self.name(name)
        value(base64: data)
    }

    public mutating func member(_ name: String, _ connection: ConnectionID) {
        self.name(name)
        value(connection)
    }

    public mutating func member(_ name: String, _ number: Int64) {
        self.name(name)
        value(number)
    }

    public mutating func member(_ name: String, seconds time: WallTime) {
        self.name(name)
        value(seconds: time)
    }

    public mutating func member(_ name: String, _ flag: Bool) {
        self.name(name)
        value(flag)
    }

    /// A member whose value is JSON that is known to be valid.
    public mutating func member(_ name: String, json: [UInt8]) {
        self.name(name)
        raw(json)
    }

    public mutating func member(_ name: String, _ members: (inout JSONBuilder) -> Void) {
        self.name(name)
        object(members)
    }

    // MARK: - Escapes

    private mutating func appendEscaped(_ text: Span<UInt8>) {
        var check = UTF8Check()
        guard check.accept(text), check.isComplete else {
            let repaired = Array(String(decoding: text.copy(), as: UTF8.self).utf8)
            return appendEscaped(repaired.span)
        }
        var at = 0
        while true {
            // What needs no escape is copied as a whole.
            let end = text.endOfUnescapedText(from: at)
            bytes.append(at..<end, of: text)
            guard end < text.count else { return }
            appendEscape(of: text[end])
            at = end + 1
        }
    }

    private mutating func appendEscape(of byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        case UInt8(ascii: "\n"): bytes.append("\\n")
        case UInt8(ascii: "\r"): bytes.append("\\r")
        case UInt8(ascii: "\t"): bytes.append("\\t")
        default:
            bytes.append("\\u00")
            bytes.append(contentsOf: Hexadecimal.encode([byte]))
        }
    }
}
