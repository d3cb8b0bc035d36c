public import PortcullisCore

/// Where a credential may stand in a handshake, and which one counts (protocol.md, Credentials).
public struct CredentialSource: Equatable, Sendable {
    /// Where a token may stand besides a cookie (`tokens.sources`).
    public var tokens: Set<TokenSource>
    /// Whether a one-time ticket may stand in the query.
    public var tickets: Bool
    /// The cookie that holds a token (`tokens.cookie`); looked at where `tokens` has ``TokenSource/cookie``.
    public var tokenCookie: [UInt8]?
    /// The cookie that holds a session id (`sessions.cookie`); nil where sessions are off.
    public var sessionCookie: [UInt8]?
    /// Whether session cookies are signed as Express signs them (`sessions.cookie_secret`); then unsigned ones are refused.
    public var signsSessions: Bool
    /// The longest token (`limits.token`).
    public var longestToken: Int

    public init(
        tokens: Set<TokenSource> = [.header, .subprotocol],
        tickets: Bool = true,
        tokenCookie: [UInt8]? = nil,
        sessionCookie: [UInt8]? = Array("session_id".utf8),
        signsSessions: Bool = false,
        longestToken: Int = 8 * 1024
    ) {
        self.tokens = tokens
        self.tickets = tickets
        self.tokenCookie = tokens.contains(.cookie) ? tokenCookie : nil
        self.sessionCookie = sessionCookie
        self.signsSessions = signsSessions
        self.longestToken = longestToken
    }

    /// What was found, before anything of it is copied: a second credential is seen before the first is believed.
    private enum Place {
        case token(Range<Int>, TokenSource)
        case ticket(Range<Int>)
        case session(Range<Int>)
    }

    /// The credential of a handshake. An explicit one (header, subprotocol, ticket, query) beats the cookies, which a browser sends
    /// whether the page means it or not.
    ///
    /// - Returns: nil only where none is there, the client may send one as its first message, and offers `portcullis.v1` for it.
    /// - Throws: `ambiguous_credential` for two of a kind, `missing_credential`, `malformed_token`, `bad_ticket`, `unknown_session`
    ///   (a cookie whose value can be the id of no session).
    public func credential(
        of request: UpgradeRequest,
        _ head: borrowing RequestHead,
        _ bytes: Span<UInt8>
    ) throws(Refusal) -> Credential? {
        let explicit = try explicitPlace(request, head, bytes)
        // Looked for even when it cannot win: that one cookie stands twice is the mark of an attack whatever else is there.
        let (sessionID, cookieToken) = try ambientPlaces(head, bytes)
        if explicit == nil, sessionID != nil, cookieToken != nil {
            throw Refusal(.ambiguousCredential, "a session cookie beside a token cookie")
        }
        switch explicit ?? sessionID ?? cookieToken {
        case .token(let range, let source): return .token(try token(range, source, bytes), source: source)
        case .ticket(let range): return .ticket(try ticket(range, bytes))
        case .session(let range):
            return signsSessions ? try signedSession(range, bytes) : .session(try session(range, bytes))
        case nil:
            if tokens.contains(.firstMessage), request.offersVersion1 { return nil }
            throw Refusal(.missingCredential, "no credential where one may stand")
        }
    }

    // MARK: - Finding

    private func explicitPlace(
        _ request: UpgradeRequest,
        _ head: borrowing RequestHead,
        _ bytes: Span<UInt8>
    ) throws(Refusal) -> Place? {
        var found: Place?
        func take(_ place: Place) throws(Refusal) {
            guard found == nil else { throw Refusal(.ambiguousCredential, "more than one explicit credential") }
            found = place
        }
        if tokens.contains(.header), let value = request.authorization, let range = Self.bearer(value, bytes) {
            try take(.token(range, .header))
        }
        if tokens.contains(.subprotocol) {
            var elements = ListElements(.subprotocol)
            while let element = elements.next(in: head, bytes) {
                if let range = Subprotocol.bearer(element, bytes) { try take(.token(range, .subprotocol)) }
            }
        }
        if let query = request.query, tickets || tokens.contains(.query) {
            var at = query.lowerBound
            while at < query.upperBound {
                let end = bytes.firstIndex(of: UInt8(ascii: "&"), in: at..<query.upperBound) ?? query.upperBound
                if tickets, bytes.hasPrefix(at..<end, "ticket=") { try take(.ticket(at + 7..<end)) }
                if tokens.contains(.query), bytes.hasPrefix(at..<end, "access_token=") {
                    try take(.token(at + 13..<end, .query))
                }
                at = end + 1
            }
        }
        return found
    }

    /// What stands behind the scheme `Bearer`, in any case (RFC 9110, section 11.1); nil where the scheme is another: such a header
    /// is meant for somebody else.
    private static func bearer(_ value: Range<Int>, _ bytes: Span<UInt8>) -> Range<Int>? {
        let end = value.first { !ByteSet.token.contains(bytes[$0]) } ?? value.upperBound
        guard bytes.equalsIgnoringCase(value.lowerBound..<end, "bearer") else { return nil }
        let start = (end..<value.upperBound).first { bytes[$0] != 0x20 } ?? value.upperBound
        return start..<value.upperBound
    }

    /// A session cookie and a token cookie. An empty one, which some servers leave behind at sign-out, is none.
    private func ambientPlaces(
        _ head: borrowing RequestHead,
        _ bytes: Span<UInt8>
    ) throws(Refusal) -> (session: Place?, token: Place?) {
        guard sessionCookie != nil || tokenCookie != nil else { return (nil, nil) }
        var session: Range<Int>?
        var token: Range<Int>?
        var cookies = Cookies()
        while let cookie = cookies.next(in: head, bytes) {
            if let sessionCookie, bytes.equals(cookie.name, sessionCookie) {
                guard session == nil else { throw Refusal(.ambiguousCredential, "more than one session cookie") }
                session = cookie.value
            } else if let tokenCookie, bytes.equals(cookie.name, tokenCookie) {
                guard token == nil else { throw Refusal(.ambiguousCredential, "more than one token cookie") }
                token = cookie.value
            }
        }
        return (
            session.flatMap { $0.isEmpty ? nil : .session($0) },
            token.flatMap { $0.isEmpty ? nil : .token($0, .cookie) }
        )
    }

    // MARK: - Checking and copying

    private func token(_ range: Range<Int>, _ source: TokenSource, _ bytes: Span<UInt8>) throws(Refusal) -> [UInt8] {
        let copy: [UInt8]?
        switch source {
        case .subprotocol:
            guard range.count / 4 * 3 <= longestToken else {
                throw Refusal(.malformedToken, "longer than limits.token")
            }
            copy = Base64.decodeURLSafe(range, of: bytes)
        case .query: copy = PercentEncoding.decode(range, of: bytes)
        case .header, .cookie, .firstMessage:
            guard range.count <= longestToken else { throw Refusal(.malformedToken, "longer than limits.token") }
            copy = bytes.copy(range)
        }
        guard let copy else { throw Refusal(.malformedToken, "the bearer subprotocol is not base64url") }
        guard copy.count <= longestToken else { throw Refusal(.malformedToken, "longer than limits.token") }
        guard Self.isBearerToken(copy) else { throw Refusal(.malformedToken, "not the letters of a bearer token") }
        return copy
    }

    /// `b64token` (RFC 6750, section 2.1): letters, then any number of equals signs.
    private static func isBearerToken(_ bytes: [UInt8]) -> Bool {
        var end = bytes.count
        while end > 0, bytes[end - 1] == UInt8(ascii: "=") { end -= 1 }
        return end > 0 && bytes.span.extracting(first: end).areBearerLetters()
    }

    private func ticket(_ range: Range<Int>, _ bytes: Span<UInt8>) throws(Refusal) -> Identifier {
        guard range.count <= 3 * 255, let decoded = PercentEncoding.decode(range, of: bytes) else {
            throw Refusal(.badTicket, "the ticket is too long")
        }
        let ticket = Identifier(bytes: decoded)
        guard ticket.isWellFormed else { throw Refusal(.badTicket, "the ticket is not well-formed") }
        return ticket
    }

    /// 1–255 visible ASCII characters. Escapes stay as they are: whether the id is written in them is up to who issued it
    /// (``PercentEncoding`` undoes them).
    private func session(_ range: Range<Int>, _ bytes: Span<UInt8>) throws(Refusal) -> Identifier {
        guard (1...255).contains(range.count), range.allSatisfy({ (0x21...0x7E).contains(bytes[$0]) }) else {
            throw Refusal(.unknownSession, "the session cookie can be no id")
        }
        return Identifier(bytes: bytes.copy(range))
    }

    /// `s:<id>.<HMAC-SHA-256>`, the code in base64 without its padding, all of it percent-encoded (the packages cookie-signature and
    /// cookie, which Express uses).
    private func signedSession(_ range: Range<Int>, _ bytes: Span<UInt8>) throws(Refusal) -> Credential {
        let refusal = Refusal(.unknownSession, "the session cookie is not a signed one")
        // Two letters, an id, a dot and 43 digits, each perhaps as an escape.
        guard range.count <= 3 * (2 + 255 + 1 + 43), let decoded = PercentEncoding.decode(range, of: bytes) else {
            throw refusal
        }
        let text = decoded.span
        guard text.hasPrefix(decoded.indices, "s:"), let dot = decoded.lastIndex(of: UInt8(ascii: ".")),
            let signature = Base64.decodeUnpadded(dot + 1..<decoded.count, of: text), signature.count == 32
        else { throw refusal }
        return .signedSession(try session(2..<dot, text), signature: signature)
    }
}
