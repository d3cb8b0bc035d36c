public import PortcullisCore

/// What a request head may cost (`limits.head`, `limits.headers`).
public struct HeadLimits: Equatable, Sendable {
    /// The most bytes, from the method to the empty line.
    public var bytes: Int
    /// The most header lines.
    public var lines: Int

    public init(bytes: Int = 16 * 1024, lines: Int = 100) {
        self.bytes = bytes
        self.lines = lines
    }
}

/// The head of one `GET` in HTTP/1.1 (RFC 9112), read strictly: two readers that understand a request in two ways are how requests
/// are smuggled, so whatever the grammar does not allow is refused, and so is what it only tolerates (empty lines before the request,
/// bare line feeds, folded lines).
///
/// It is made to be kept and used again for the next connection: then a head allocates nothing. It holds where things stand, not
/// what: every question is asked together with the bytes that were parsed.
public struct RequestHead: ~Copyable, Sendable {
    public struct Field: Equatable, Sendable {
        public let name: FieldName
        /// Where the name stands, as it was written.
        public let written: Range<Int>
        /// Where the value stands, without the space around it.
        public let value: Range<Int>
    }

    public enum Progress: Equatable, Sendable {
        /// Nothing is wrong so far, and the empty line has not come.
        case incomplete
        /// Well-formed. What follows the first `length` bytes does not belong to the head: a client that does not wait for the
        /// answer has sent its first frames already. They are to be read as frames, never as another request.
        case complete(length: Int)
        case refused(Refusal)
    }

    public private(set) var fields: [Field] = []
    /// The path as it was written; escapes in it are whole.
    public private(set) var path = 0..<0
    /// What stands behind the question mark.
    public private(set) var query: Range<Int>?
    public private(set) var host = 0..<0
    private var contentLength: Range<Int>?
    private var hasTransferEncoding = false
    private var hasContentEncoding = false

    public init() {}

    /// Reads from the first byte that the connection sent. A head that is not whole is asked for again with more of it: what came
    /// before is read again, which for the longest head, sent byte by byte, costs no more than receiving the bytes does.
    ///
    /// Every refusal follows from the bytes up to one place, so that it is the same however they were cut, and as early as can be.
    public mutating func parse(_ bytes: Span<UInt8>, limits: HeadLimits = HeadLimits()) -> Progress {
        fields.removeAll(keepingCapacity: true)
        (path, query, host, contentLength) = (0..<0, nil, 0..<0, nil)
        (hasTransferEncoding, hasContentEncoding) = (false, false)
        do throws(Stop) {
            return .complete(length: try head(bytes.extracting(first: max(0, limits.bytes)), limits))
        } catch {
            switch error {
            case .refused(let refusal): return .refused(refusal)
            case .outOfBytes where bytes.count < limits.bytes: return .incomplete
            case .outOfBytes: return .refused(Refusal(.headersTooLarge, "the request head is longer than limits.head"))
            }
        }
    }

    /// The first value of a name; nil where there is none.
    public func value(_ name: FieldName) -> Range<Int>? {
        fields.first { $0.name == name }?.value
    }

    public func count(_ name: FieldName) -> Int {
        fields.reduce(0) { $1.name == name ? $0 + 1 : $0 }
    }

    // MARK: - Grammar

    private enum Stop: Error {
        case outOfBytes
        case refused(Refusal)

        static func bad(_ detail: String) -> Stop { .refused(Refusal(.badRequest, detail)) }
    }

    private mutating func head(_ bytes: Span<UInt8>, _ limits: HeadLimits) throws(Stop) -> Int {
        var at = try requestLine(bytes)
        while true {
            guard at < bytes.count else { throw .outOfBytes }
            if bytes[at] == 0x0D {
                let end = try lineFeed(bytes, at)
                try finish(bytes)
                return end
            }
            if fields.count >= limits.lines {
                throw .refused(Refusal(.headersTooLarge, "the request has more header lines than limits.headers"))
            }
            at = try field(bytes, at)
        }
    }

    /// `at` stands on a carriage return: what follows the line feed behind it.
    private func lineFeed(_ bytes: Span<UInt8>, _ at: Int) throws(Stop) -> Int {
        guard at + 1 < bytes.count else { throw .outOfBytes }
        guard bytes[at + 1] == 0x0A else { throw .bad("a carriage return without a line feed") }
        return at + 2
    }

    private func expect(_ text: StaticString, _ bytes: Span<UInt8>, _ start: Int, _ detail: String) throws(Stop) -> Int
    {
        let length = text.utf8CodeUnitCount
        let come = min(length, bytes.count - start)
        // A static string's bytes live as long as the process; the pointer does not leave the closure.
        let same = text.withUTF8Buffer { letters in (0..<come).allSatisfy { letters[$0] == bytes[start + $0] } }
        guard same else { throw .bad(detail) }
        guard come == length else { throw .outOfBytes }
        return start + length
    }

    /// `GET` SP origin-form SP `HTTP/1.1` CRLF (RFC 9112, sections 3 and 3.2.1).
    private mutating func requestLine(_ bytes: Span<UInt8>) throws(Stop) -> Int {
        var at = try expect("GET ", bytes, 0, "the method is not GET")
        let start = at
        at = try target(bytes, at, .path)
        path = start..<at
        if bytes[at] == UInt8(ascii: "?") {
            let start = at + 1
            at = try target(bytes, start, .query)
            query = start..<at
        }
        guard bytes[at] == 0x20 else { throw .bad("the request target is not valid") }
        return try expect(" HTTP/1.1\r\n", bytes, at, "the version is not HTTP/1.1")
    }

    /// The end of a part of the target: a byte that belongs to none, and is there.
    private func target(_ bytes: Span<UInt8>, _ start: Int, _ set: ByteSet) throws(Stop) -> Int {
        var at = start
        while at < bytes.count {
            let byte = bytes[at]
            if at == 4, byte != UInt8(ascii: "/") { throw .bad("the request target is not in origin form") }
            if byte == UInt8(ascii: "%") {
                for digit in at + 1...at + 2 {
                    guard digit < bytes.count else { throw .outOfBytes }
                    guard Hexadecimal.value(of: bytes[digit]) != nil else {
                        throw .bad("the target has a broken escape")
                    }
                }
                at += 3
            } else if set.contains(byte) {
                at += 1
            } else {
                return at
            }
        }
        throw .outOfBytes
    }

    /// field-name ":" OWS field-value OWS CRLF (RFC 9112, section 5). A line that begins with space would be a fold (section 5.2); no
    /// name does.
    private mutating func field(_ bytes: Span<UInt8>, _ start: Int) throws(Stop) -> Int {
        let token = ByteSet.token
        var at = start
        while at < bytes.count, token.contains(bytes[at]) { at += 1 }
        guard at < bytes.count else { throw .outOfBytes }
        guard at > start, bytes[at] == UInt8(ascii: ":") else { throw .bad("a header line has no valid name") }
        let written = start..<at
        let valueStart = at + 1
        at = bytes.endOfText(from: valueStart)
        while at < bytes.count, bytes[at] == 0x09 { at = bytes.endOfText(from: at + 1) }
        guard at < bytes.count else { throw .outOfBytes }
        guard bytes[at] == 0x0D else { throw .bad("a header value has a control character") }
        let end = try lineFeed(bytes, at)
        let field = Field(
            name: FieldName(bytes, written),
            written: written,
            value: bytes.trimmed(valueStart..<at)
        )
        fields.append(field)
        try note(field, bytes)
        return end
    }

    private mutating func note(_ field: Field, _ bytes: Span<UInt8>) throws(Stop) {
        switch field.name {
        case .host:
            guard host.isEmpty else { throw .bad("more than one Host") }
            guard HostName(bytes, field.value) != nil else { throw .bad("the Host is not valid") }
            host = field.value
        case .contentLength:
            guard contentLength == nil else { throw .bad("more than one Content-Length") }
            guard !field.value.isEmpty, field.value.allSatisfy({ ByteSet.isDigit(bytes[$0]) }) else {
                throw .bad("the Content-Length is not a number")
            }
            contentLength = field.value
        case .transferEncoding:
            guard !field.value.isEmpty, bytes.allSatisfy(field.value, .token) else {
                throw .bad("the Transfer-Encoding is not valid")
            }
            hasTransferEncoding = true
        case .contentEncoding: hasContentEncoding = true
        case .disguisedFraming: throw .bad("a header that looks like one that frames a body")
        case .other:
            guard !hidesFraming(field.value, bytes) else { throw .bad("a Transfer-Encoding inside another header") }
        default: break
        }
    }

    /// Whether a reader that ends lines at other places than ours (a tab, a no-break space) would find a `Transfer-Encoding` in this
    /// value. No client of ours has a reason to write one.
    private func hidesFraming(_ value: Range<Int>, _ bytes: Span<UInt8>) -> Bool {
        let length = 17
        guard value.count > length else { return false }
        return (value.lowerBound + length..<value.upperBound).contains { colon in
            bytes[colon] == UInt8(ascii: ":")
                && bytes.equalsIgnoringCase(colon - length..<colon, "transfer-encoding")
        }
    }

    /// What can be said only when all lines are there.
    private func finish(_ bytes: Span<UInt8>) throws(Stop) {
        guard !host.isEmpty else { throw .bad("no Host") }
        // Both at once is how a request is smuggled (RFC 9112, section 6.1).
        if hasTransferEncoding, contentLength != nil { throw .bad("Content-Length beside Transfer-Encoding") }
        let hasLength = contentLength.map { !$0.allSatisfy { bytes[$0] == UInt8(ascii: "0") } } ?? false
        if hasLength || hasTransferEncoding || hasContentEncoding {
            throw .refused(Refusal(.bodyForbidden, "the request announces a body"))
        }
    }
}
