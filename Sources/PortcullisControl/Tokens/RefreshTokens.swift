public import PortcullisCore
import PortcullisCrypto
import PortcullisReactor
public import PortcullisRedis
public import PortcullisTokens
import PortcullisWire

/// Short access tokens, and refresh tokens that each work once (RFC 9700, section 4.14.2).
///
/// All that descends from one grant is a family, whose random name is the `sid` of all its access tokens: to revoke the family is one
/// decision about a session, which closes its connections on every gate. A rotation decides nothing and closes nothing.
public struct RefreshTokens {
    private let connection: BlockingConnection
    private let settings: Settings
    private let keys: Keys
    private let signer: TokenSigner
    private let decisions: DecisionClient
    private let standing: () throws -> StandingDecisions

    /// Longer texts are no token of ours, and are refused unread.
    private static let longestToken = 512

    /// - Parameter standing: what stands against whom; nil: read from Redis at each use. What it gives must hold every decision that was
    ///   acknowledged before it was asked.
    public init(
        _ connection: BlockingConnection,
        _ settings: Settings,
        signer: TokenSigner,
        standing: (() throws -> StandingDecisions)? = nil
    ) throws(StartupError) {
        self.connection = connection
        self.settings = settings
        self.signer = signer
        keys = Keys(prefix: settings.redis.prefix)
        decisions = try DecisionClient(connection, settings)
        let reader = try StandingReader(connection, settings)
        self.standing = standing ?? reader.read
    }

    // MARK: - Granting

    /// The first tokens of a user who has just signed in.
    ///
    /// - Parameters:
    ///   - accessLife: of each access token; at most `tokens.longest_life`.
    ///   - refreshLife: of the whole family; at most `sessions.longest_life`, for as long as revocations of a session stand.
    ///   - claims: what every access token says besides; `auth_time` is now where it is not given.
    /// - Throws: ``TokenRefusal`` where a decision stands against the user, ``StartupError`` where it cannot be.
    public func grant(
        user: Identifier,
        accessLife: Milliseconds,
        refreshLife: Milliseconds,
        claims: [(name: String, json: [UInt8])] = []
    ) throws -> TokenPair {
        guard user.isWellFormed else { throw StartupError("A user is 1 to 255 bytes without control characters.") }
        try check(accessLife, "access token", most: settings.tokens.longestLife, "tokens.longest_life")
        try check(refreshLife, "refresh token", most: settings.sessions.longestLife, "sessions.longest_life")
        let access = AccessClaims(settings)
        try access.check(claims)
        let now = try time()
        let record = RefreshRecord(
            user: user,
            family: Identifier(bytes: try Self.random(16, Hexadecimal.encode)),
            created: now,
            ends: now + refreshLife,
            accessLife: accessLife,
            claims: try access.repeated(claims, authenticated: now)
        )
        try judge(record, now)
        let token = try Self.random(32, Hexadecimal.encode)
        let accessToken = try sign(record, now)
        let reply = try connection.ask(
            RefreshScript.grant(
                hash: RefreshScript.hash(token),
                family: record.family,
                record: record.encode(),
                ends: .init(family: record.ends, accessLife: accessLife),
                keys: keys
            )
        )
        if let error = reply.errorText { throw StartupError(LinkMachine.sentence(error)) }
        return pair(accessToken, token, record, now)
    }

    private func check(_ life: Milliseconds, _ what: String, most: Duration, _ key: String) throws(StartupError) {
        guard life.count > 0, life <= most.inMilliseconds else {
            throw StartupError("The \(what) may live \(Units.text(most)) at most (\(key)), and must live at all.")
        }
    }

    // MARK: - Refreshing

    /// Uses a refresh token up: new tokens take its place. The second use of one revokes its family, whoever comes second.
    ///
    /// Nothing is used up where the new tokens are refused for another reason or cannot be made.
    /// - Throws: ``TokenRefusal``, or ``StartupError`` where Redis or the key cannot be used.
    public func refresh(_ token: [UInt8]) throws -> TokenPair {
        guard (1...Self.longestToken).contains(token.count) else { throw TokenRefusal.unknown }
        let hash = RefreshScript.hash(token)
        // The time comes first, and becomes the `iat`: a revocation that is acknowledged after what stands was read is later than
        // it, and so covers the new access token too.
        let now = try time()
        let found = try answers([Self.get(keys.refresh(hash)), Self.get(keys.refreshed(hash))])
        if let family = found[1].bytes { try revoke(Identifier(bytes: family), usedAgain: hash) }
        guard let text = found[0].bytes, let record = RefreshRecord(text) else { throw TokenRefusal.unknown }
        try judge(record, now)
        let accessToken = try sign(record, now)
        let newToken = try Self.random(32, Hexadecimal.encode)
        let use = RefreshScript.Use(
            hash: hash,
            record: text,
            family: record.family,
            live: hash,
            newHash: RefreshScript.hash(newToken),
            newRecord: record.next.encode(),
            ends: .init(family: record.ends, accessLife: record.accessLife)
        )
        try finish(use)
        return pair(accessToken, newToken, record, now)
    }

    /// A token that was used before came again.
    private func revoke(_ family: Identifier, usedAgain hash: [UInt8]) throws {
        let state = try answers([Self.get(keys.family(family))])[0].bytes ?? []
        let nothing = WallTime(milliseconds: 0)
        try finish(
            RefreshScript.Use(
                hash: hash,
                record: [],
                family: family,
                live: Array(state.suffix(64)),
                newHash: [],
                newRecord: [],
                ends: .init(family: nothing, accessLife: Milliseconds(0))
            )
        )
        throw TokenRefusal.unknown
    }

    /// Returns where the token was rotated.
    private func finish(_ use: RefreshScript.Use) throws {
        var use = use
        // Twice at most: once a family is revoked its last token stays the last.
        for _ in 0..<2 {
            switch RefreshScript.Answer(try connection.ask(RefreshScript.use(use, keys: keys))) {
            case .rotated: return
            case .unknown: throw TokenRefusal.unknown
            case .failed(let error): throw StartupError(LinkMachine.sentence(error))
            case .reused(let last, let left):
                if last != use.live, !last.isEmpty {
                    use.live = last
                    continue
                }
                try announce(use.family, left)
                throw TokenRefusal.reused
            }
        }
        throw StartupError("Redis changed what it remembers of a revoked family of refresh tokens.")
    }

    /// Revokes the family on every gate. The event's id is the family's, so that whoever is interrupted here can come again.
    private func announce(_ family: Identifier, _ left: Milliseconds) throws {
        let now = try time()
        let revocation = Decision.Revocation(
            select: Selector(ids: [.session: family]),
            issuedBefore: .never,
            expires: now + left
        )
        _ = try decisions.send(
            Event(
                id: Identifier(bytes: Array("refresh:".utf8) + family.bytes),
                decision: .revoke(revocation),
                at: now,
                actor: "refresh",
                reason: "refresh_token_reused"
            )
        )
    }

    // MARK: - Parts

    /// Refuses where a decision stands against what the family was granted for.
    private func judge(_ record: RefreshRecord, _ now: WallTime) throws {
        let said = settings.tokens.own.claimNames.reading(record.claims)
        let identity = Identity(
            user: record.user,
            ids: said.ids.merging([.session: record.family]) { $1 },
            issued: record.created,
            authenticated: said.authenticated
        )
        switch try standing().verdict(on: identity, from: nil, presented: now, now: now) {
        case nil: return
        case .revoked: throw TokenRefusal.revoked
        case .blocked: throw TokenRefusal.blocked
        case .reauthenticationRequired: throw TokenRefusal.reauthenticationRequired
        }
    }

    private func sign(_ record: RefreshRecord, _ now: WallTime) throws -> String {
        let id = Identifier(bytes: try Self.random(16, Hexadecimal.encode))
        let payload = AccessClaims(settings).payload(of: record, id: id, now: now)
        do throws(KeyError) {
            let token = try signer.sign(payload: payload)
            guard token.count <= settings.limits.token else {
                throw KeyError(
                    "The access token would have \(token.count) bytes, more than limits.token allows: give fewer claims."
                )
            }
            return String(decoding: token, as: UTF8.self)
        } catch {
            throw StartupError(error.description)
        }
    }

    private func pair(_ access: String, _ refresh: [UInt8], _ record: RefreshRecord, _ now: WallTime) -> TokenPair {
        TokenPair(
            accessToken: access,
            expiresIn: record.accessLife.count / 1000,
            refreshToken: String(decoding: refresh, as: UTF8.self),
            refreshExpiresIn: max(0, record.ends.since(now).count / 1000)
        )
    }

    private static func random(_ count: Int, _ encode: ([UInt8]) -> [UInt8]) throws(StartupError) -> [UInt8] {
        do {
            return encode(try SecureRandom.bytes(count))
        } catch {
            throw StartupError("\(error).")
        }
    }

    private static func get(_ key: [UInt8]) -> Command {
        Command([Array("GET".utf8), key])
    }

    private func answers(_ commands: [Command]) throws -> [RESPValue] {
        let replies = try connection.ask(commands)
        if let error = replies.lazy.compactMap(\.errorText).first { throw StartupError(LinkMachine.sentence(error)) }
        guard replies.count == commands.count else { throw StartupError("Redis did not answer every question.") }
        return replies
    }

    /// Redis' clock, by which decisions are dated too.
    private func time() throws -> WallTime {
        let parts = try connection.ask(Command("TIME")).array?.compactMap { $0.text.flatMap { Int64($0) } } ?? []
        guard parts.count == 2 else { throw StartupError("Redis did not say what time it is.") }
        return WallTime(milliseconds: parts[0].multipliedClamped(by: 1000).addingClamped(parts[1] / 1000))
    }
}
