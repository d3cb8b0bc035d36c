/// An answer to a handshake that is not 101, read from its status, its headers and its problem document (RFC 9457).
public struct Refused: Equatable, Sendable {
    public let status: Int
    /// The gate's name for the reason; nil where something else answered.
    public let code: String?
    public let title: String?
    public let detail: String?
    /// Names the line in the gate's log that says more.
    public let requestID: String?
    /// From `Retry-After`, at most a day; a date there is not read.
    public let retryAfter: Duration?

    /// - Parameters:
    ///   - contentType: the header of that name.
    ///   - retryAfter: the header of that name.
    ///   - body: what came of the body; one that is no problem document is ignored.
    init(status: Int, contentType: String?, retryAfter: String?, body: [UInt8]) {
        let isProblem = contentType?.lowercased().hasPrefix("application/problem+json") ?? false
        let problem = isProblem ? String(validating: body, as: UTF8.self).flatMap { RawJSON($0)?.members } : nil
        self.status = status
        self.retryAfter = retryAfter.flatMap { Double($0) }.flatMap { .clamped(seconds: $0) }
        code = problem?["code"]?.string
        title = problem?["title"]?.string
        detail = problem?["detail"]?.string
        requestID = problem?["request_id"]?.string
    }

    /// What to do next.
    public var advice: ReconnectAdvice {
        ReconnectAdvice(status: status, code: code)
    }

    var sentence: String {
        let why = detail ?? title
        let name = code.map { " \($0)" } ?? ""
        return "The gate refused the handshake with \(status)\(name)" + (why.map { ": \($0)" } ?? ".")
    }
}
