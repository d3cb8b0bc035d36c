public import PortcullisCore

/// Writes one JSON object or array, member by member.
public struct JSONBuilder: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []
    private var needsComma = false

    public init() {}

    /// One object: `JSONBuilder.object { $0.member("type", "error") }`.
    public static func object(_ members: (inout JSONBuilder) -> Void) -> [UInt8] {
        var builder = JSONBuilder()
        builder.object(members)
        return builder.bytes
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

    public mutating func name(_ name: some Collection<UInt8>) {
        comma()
        Self.append(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    public mutating func name(_ name: String) {
        self.name(Array(name.utf8))
    }

    public mutating func value(_ text: Identifier) {
        comma()
        Self.append(text.bytes, to: &bytes)
    }

    public mutating func value(_ text: String) {
        comma()
        Self.append(Array(text.utf8), to: &bytes)
    }

    public mutating func value(_ number: Int64) {
        raw(Array(String(number).utf8))
    }

    public mutating func value(_ flag: Bool) {
        raw(Array((flag ? "true" : "false").utf8))
    }

    public mutating func null() {
        raw(Array("null".utf8))
    }

    /// JSON that is known to be valid.
    public mutating func raw(_ json: [UInt8]) {
        comma()
        bytes.append(contentsOf: json)
    }

    public mutating func member(_ name: String, _ text: Identifier) {
        self.name(name)
        value(text)
    }

    public mutating func member(_ name: String, _ text: String) {
        self.name(name)
        value(text)
    }

    public mutating func member(_ name: String, _ number: Int64) {
        self.name(name)
        value(number)
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

    /// Milliseconds as a JSON number of seconds, with a fraction where there is one.
    public static func seconds(_ time: WallTime) -> [UInt8] {
        let (seconds, rest) = time.milliseconds.quotientAndRemainder(dividingBy: 1000)
        guard rest != 0 else { return Array(String(seconds).utf8) }
        let digits = String(rest.magnitude)
        let sign = time.milliseconds < 0 && seconds == 0 ? "-" : ""
        return Array((sign + String(seconds) + "." + String(repeating: "0", count: 3 - digits.count) + digits).utf8)
    }

    /// A JSON string of the bytes; what is not UTF-8 becomes U+FFFD.
    private static func append(_ text: some Collection<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        if text.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            bytes.append(contentsOf: text)
        } else {
            for scalar in String(decoding: text, as: UTF8.self).unicodeScalars { append(scalar, to: &bytes) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func append(_ scalar: Unicode.Scalar, to bytes: inout [UInt8]) {
        switch scalar {
        case "\"", "\\":
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(UInt8(ascii: scalar))
        case "\n": bytes.append(contentsOf: Array("\\n".utf8))
        case "\r": bytes.append(contentsOf: Array("\\r".utf8))
        case "\t": bytes.append(contentsOf: Array("\\t".utf8))
        case "\u{0}"..."\u{1F}", "\u{7F}":
            bytes.append(contentsOf: Array("\\u00".utf8))
            bytes.append(contentsOf: Hexadecimal.encode([UInt8(truncatingIfNeeded: scalar.value)]))
        default: bytes.append(contentsOf: Array(String(scalar).utf8))
        }
    }
}
