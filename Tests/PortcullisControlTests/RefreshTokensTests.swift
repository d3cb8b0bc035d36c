import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisGate
import PortcullisRedis
import PortcullisTokens
import PortcullisWire
import Synchronization
import TestKit
import Testing

/// Refresh tokens against a real Redis, and what a real gate makes of them.
@Suite(.serialized) struct RefreshTokensTests {
    /// A Redis, the settings on it, and a key.
    private final class House: Sendable {
        let redis: RedisServer
        let settings: Settings
        let key: SigningKey

        init(_ flags: [String: String] = [:]) throws {
            redis = try RedisServer()
            var all = ["redis.url": "unix://\(redis.socket)", "listen": "127.0.0.1:0", "node": "g1"]
            all["state_dir"] = redis.directory.appending(path: "state").path
            all.merge(flags) { $1 }
            settings = try Settings.load(flags: all)
            key = try SigningKey(secret: Array("a secret of the tests of refresh tokens".utf8).span)
        }

        func tokens(standing: (() throws -> StandingDecisions)? = nil) throws -> RefreshTokens {
            try RefreshTokens(
                try BlockingConnection(redis.url),
                settings,
                signer: TokenSigner(key),
                standing: standing
            )
        }

        func grant(
            _ user: Identifier = "alice",
            life: Milliseconds = .seconds(3600),
            claims: [(name: String, json: [UInt8])] = []
        ) throws -> TokenPair {
            try tokens().grant(user: user, accessLife: .seconds(900), refreshLife: life, claims: claims)
        }

        func refresh(_ token: String) throws -> TokenPair {
            try tokens().refresh(Array(token.utf8))
        }

        func decide(_ decision: Decision) throws {
            let now = WallTime(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            let client = try DecisionClient(try BlockingConnection(redis.url), settings)
            _ = try client.send(Event(id: EventID.make(at: now), decision: decision))
        }

        var log: [String] {
            get throws {
                let rows = try redis.ask("XRANGE", "portcullis:log", "-", "+").array ?? []
                return rows.compactMap { $0.array?.last?.array?.dropFirst().first?.text }
            }
        }

        func keys(_ pattern: String) throws -> [String] {
            (try redis.ask("KEYS", pattern).array ?? []).compactMap(\.text).sorted()
        }

        func gate() throws -> Gate {
            let issuer = TokenIssuer(keys: try KeySet([key.verificationKey]))
            let configuration = try GateAssembly.configuration(
                settings,
                redis: redis.url,
                tokens: try TokenPolicy(issuers: [issuer]),
                version: "test"
            )
            let gate = try Gate(configuration) { _ in }
            for _ in 0..<3000 where !gate.status.isReady { Thread.sleep(forTimeInterval: 0.01) }
            #expect(gate.status.isReady)
            return gate
        }
    }

    private func claims(_ token: String) throws -> [String: Any] {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        let text = Array(parts[1].utf8)
        let payload = Base64URL.decode(text.span) ?? []
        return try JSONSerialization.jsonObject(with: Data(payload)) as? [String: Any] ?? [:]
    }

    private func peer(_ gate: Gate, _ token: String) throws -> WebSocketPeer {
        let headers = ["Authorization: Bearer \(token)", "Sec-WebSocket-Protocol: portcullis.v1"]
        let peer = try WebSocketPeer(gate.endpoint, headers: headers)
        if peer.status == 101 { _ = try peer.receive(type: "welcome") }
        return peer
    }

    private func echoes(_ peer: WebSocketPeer) throws -> Bool {
        try peer.send(text: #"{"type":"nothing"}"#)
        return try peer.receive(type: "error")["code"] as? String == "unknown_type"
    }

    // MARK: - What they say

    @Test func anAccessTokenSaysWhoseItIsAndWhichFamily() throws {
        let house = try House(["tokens.issuer": "https://i.example", "tokens.audience": "gate"])
        let role = (name: "permissions", json: Array(#"{"doc:1":"editor"}"#.utf8))
        let first = try house.grant(claims: [role])
        #expect(first.expiresIn == 900 && first.refreshExpiresIn == 3600)
        let said = try claims(first.accessToken)
        #expect(said["sub"] as? String == "alice")
        #expect(said["iss"] as? String == "https://i.example" && said["aud"] as? String == "gate")
        #expect(said["permissions"] as? [String: String] == ["doc:1": "editor"])
        let (issued, expires) = (try #require(said["iat"] as? Double), try #require(said["exp"] as? Double))
        #expect(abs(expires - issued - 900) < 0.01)
        #expect(said["auth_time"] as? Double == issued)
        let family = try #require(said["sid"] as? String)
        #expect(family.count == 32)
        // Milliseconds later.
        let second = try house.refresh(first.refreshToken)
        #expect(second.refreshToken != first.refreshToken && second.refreshExpiresIn <= 3600)
        let again = try claims(second.accessToken)
        #expect(again["sid"] as? String == family && again["auth_time"] as? Double == issued)
        #expect(again["jti"] as? String != said["jti"] as? String)
        #expect(again["permissions"] as? [String: String] == ["doc:1": "editor"])
        #expect(try #require(again["iat"] as? Double) >= issued)
        #expect(try claims(house.grant().accessToken)["sid"] as? String != family)
        // The answer of RFC 6749, its members in the order that is documented.
        #expect(
            second.json
                == #"{"access_token":"\#(second.accessToken)","token_type":"Bearer","expires_in":900,"#
                + #""refresh_token":"\#(second.refreshToken)","refresh_expires_in":\#(second.refreshExpiresIn)}"#
        )
        #expect(!"\(second)".contains(second.refreshToken))
    }

    @Test func anAuthenticationTimeIsCarriedOver() throws {
        let house = try House()
        let first = try house.grant(claims: [(name: "auth_time", json: Array("1700000000".utf8))])
        let second = try house.refresh(first.refreshToken)
        #expect(try claims(second.accessToken)["auth_time"] as? Int == 1_700_000_000)
    }

    @Test func theConfiguredNamesOfClaimsAreWrittenToo() throws {
        let house = try House(["tokens.claims.user": "https://x/user.id", "tokens.claims.session": "jti"])
        let first = try house.grant()
        let second = try house.refresh(first.refreshToken)
        for pair in [first, second] {
            let said = try claims(pair.accessToken)
            #expect(said["https://x/user.id"] as? String == "alice" && said["sub"] as? String == "alice")
            #expect(said["jti"] as? String == said["sid"] as? String)
        }
        #expect(throws: StartupError.self) {
            try house.grant(claims: [(name: "https://x/user.id", json: Array(#""bob""#.utf8))])
        }
    }

    @Test(arguments: ["sub", "sid", "exp", "iat", "jti"])
    func nobodyGivesTheseClaims(name: String) throws {
        let house = try House()
        #expect(throws: StartupError.self) { try house.grant(claims: [(name: name, json: Array("1".utf8))]) }
    }

    @Test func aClaimIsOneClaim() throws {
        let house = try House()
        for json in [#"1,"sub":"root""#, "", "x", #"1}"#] {
            #expect(throws: StartupError.self) { try house.grant(claims: [(name: "a", json: Array(json.utf8))]) }
        }
        #expect(throws: StartupError.self) {
            try house.grant(claims: [(name: "auth_time", json: Array(#""now""#.utf8))])
        }
        #expect(throws: StartupError.self) { try house.grant("") }
        #expect(throws: StartupError.self) { try house.grant(life: .seconds(31 * 86_400)) }
        #expect(throws: StartupError.self) { try house.grant(life: .seconds(0)) }
        let large = Array("\"\(String(repeating: "x", count: 9000))\"".utf8)
        #expect(throws: StartupError.self) { try house.grant(claims: [(name: "a", json: large)]) }
        #expect(try house.keys("*") == [])
    }

    // MARK: - What stands in Redis

    @Test func redisKnowsATokenByItsHashOnly() throws {
        let house = try House()
        let first = try house.grant()
        let hash = String(decoding: RefreshScript.hash(Array(first.refreshToken.utf8)), as: UTF8.self)
        #expect(try house.keys("refresh:*") == ["refresh:\(hash)"])
        let left = try #require(try house.redis.ask("PTTL", "refresh:\(hash)").integer)
        #expect((3_590_000...3_600_000).contains(left))
        let second = try house.refresh(first.refreshToken)
        // What is still good stands there, and nothing else.
        #expect(try house.keys("refresh:*").count == 1)
        #expect(try house.redis.ask("EXISTS", "refresh:\(hash)") == .integer(0))
        for key in try house.keys("*") {
            let ttl = try #require(try house.redis.ask("PTTL", key).integer)
            #expect((1...4_500_000).contains(ttl), "\(key)")
            let value = try house.redis.ask("GET", key).text ?? ""
            for secret in [first.refreshToken, second.refreshToken, first.accessToken, second.accessToken] {
                #expect(!key.contains(secret) && !value.contains(secret))
            }
        }
        #expect(try house.log == [])
    }

    @Test func theLifeOfAFamilyIsThatOfItsGrant() throws {
        let house = try House()
        var pair = try house.grant(life: .seconds(100))
        let hash = RefreshScript.hash(Array(pair.refreshToken.utf8))
        let ends = try house.redis.ask("PEXPIRETIME", "refresh:" + String(decoding: hash, as: UTF8.self))
        for _ in 0..<3 { pair = try house.refresh(pair.refreshToken) }
        let last = RefreshScript.hash(Array(pair.refreshToken.utf8))
        #expect(try house.redis.ask("PEXPIRETIME", "refresh:" + String(decoding: last, as: UTF8.self)) == ends)
        #expect(
            try house.redis.ask("GET", "refresh:" + String(decoding: last, as: UTF8.self)).text?
                .contains(#""generation":3"#) == true
        )
        let short = try house.grant(life: Milliseconds(1))
        for _ in 0..<3000 where try house.keys("refresh:*").count > 1 { Thread.sleep(forTimeInterval: 0.01) }
        #expect(throws: TokenRefusal.unknown) { try house.refresh(short.refreshToken) }
    }

    @Test func whatIsNoRefreshTokenIsUnknown() throws {
        let house = try House()
        let pair = try house.grant()
        let others = [
            "", "x", pair.accessToken, pair.refreshToken + "=", pair.refreshToken + "\n",
            String(pair.refreshToken.dropLast()), String(repeating: "a", count: 1 << 20), "\u{0}",
        ]
        for text in others {
            #expect(throws: TokenRefusal.unknown, "\(text.prefix(50))") { try house.refresh(text) }
        }
        // Nobody wrote this one.
        let hash = String(decoding: RefreshScript.hash(Array("guess".utf8)), as: UTF8.self)
        for record in ["", "x", "{}", #"{"user":"a","family":"f","created_ms":1,"ends_ms":2}"#] {
            try house.redis.ask("SET", "refresh:\(hash)", record)
            #expect(throws: TokenRefusal.unknown) { try house.refresh("guess") }
        }
        try house.redis.ask("DEL", "refresh:\(hash)")
        try house.redis.ask("LPUSH", "refresh:\(hash)", "x")
        #expect(throws: StartupError.self) { try house.refresh("guess") }
        #expect(throws: Never.self) { try house.refresh(pair.refreshToken) }
    }

    // MARK: - Once

    @Test func theSecondUseRevokesTheFamilyAndNoOther() throws {
        let house = try House()
        let other = try house.grant()
        let first = try house.grant()
        let family = try #require(try claims(first.accessToken)["sid"] as? String)
        let second = try house.refresh(first.refreshToken)
        let third = try house.refresh(second.refreshToken)
        #expect(throws: TokenRefusal.reused) { try house.refresh(first.refreshToken) }
        // The one that was good is good no more, and its holder is told why.
        #expect(try house.keys("refresh:*").count == 1)
        #expect(throws: TokenRefusal.reused) { try house.refresh(third.refreshToken) }
        #expect(throws: TokenRefusal.reused) { try house.refresh(second.refreshToken) }
        let log = try house.log
        #expect(log.count == 1)
        #expect(log.first?.contains(#""type":"revoke""#) == true)
        #expect(log.first?.contains(#""select":{"session":"\#(family)"},"issued_before_ms":"never""#) == true)
        #expect(log.first?.contains(#""expires_at_ms":"#) == true)
        #expect(throws: Never.self) { try house.refresh(other.refreshToken) }
    }

    @Test func ofManyAtTheSameMomentExactlyOneWins() throws {
        let house = try House()
        for _ in 0..<5 {
            let pair = try house.grant()
            let outcomes = Mutex<[TokenRefusal?]>([])
            let won = Mutex<[TokenPair]>([])
            let gate = DispatchSemaphore(value: 0)
            let done = DispatchGroup()
            for _ in 0..<50 {
                let tokens = try house.tokens()
                // The engine is one thread's; each thread has its own.
                nonisolated(unsafe) let own = tokens
                done.enter()
                Thread.detachNewThread {
                    gate.wait()
                    do {
                        let next = try own.refresh(Array(pair.refreshToken.utf8))
                        won.withLock { $0.append(next) }
                        outcomes.withLock { $0.append(nil) }
                    } catch {
                        outcomes.withLock { $0.append(error as? TokenRefusal ?? .blocked) }
                    }
                    done.leave()
                }
            }
            for _ in 0..<50 { gate.signal() }
            done.wait()
            let all = outcomes.withLock { $0 }
            #expect(all.count == 50)
            #expect(all.filter { $0 == nil }.count == 1)
            // Those that came after the revocation stood in the log are refused for that.
            #expect(all.allSatisfy { $0 == nil || $0 == .reused || $0 == .revoked })
            let winner = try #require(won.withLock { $0.first })
            #expect(throws: TokenRefusal.reused) { try house.refresh(winner.refreshToken) }
        }
        #expect(try house.keys("refresh:*") == [])
        #expect(try house.log.count == 5)
    }

    /// Who detects the reuse may be ended before the decision is in the log: the next use of the token puts it there.
    @Test func anInterruptedRevocationIsTakenUpAgain() throws {
        let house = try House()
        let first = try house.grant()
        let second = try house.refresh(first.refreshToken)
        // The log cannot be appended to.
        try house.redis.ask("SET", "portcullis:log", "x")
        let quiet = try house.tokens(standing: { StandingDecisions() })
        #expect(throws: StartupError.self) { try quiet.refresh(Array(first.refreshToken.utf8)) }
        try house.redis.ask("DEL", "portcullis:log")
        // The family has ended all the same; its last holder brings the decision into the log.
        #expect(throws: TokenRefusal.reused) { try house.refresh(second.refreshToken) }
        #expect(try house.log.count == 1)
        try house.redis.ask("DEL", "portcullis:log", "portcullis:standing")
        #expect(throws: TokenRefusal.reused) { try house.refresh(first.refreshToken) }
    }

    /// The token that is good changes while the reuse of an older one is on its way.
    @Test func aReuseFindsTheTokenThatIsGoodByThen() throws {
        let house = try House()
        let first = try house.grant()
        let second = try house.refresh(first.refreshToken)
        let third = try house.refresh(second.refreshToken)
        let keys = Keys()
        let hash = RefreshScript.hash(Array(first.refreshToken.utf8))
        let guess = RefreshScript.hash(Array(second.refreshToken.utf8))
        let live = RefreshScript.hash(Array(third.refreshToken.utf8))
        let family = Identifier(try #require(try claims(first.accessToken)["sid"] as? String))
        var use = RefreshScript.Use(
            hash: hash,
            record: [],
            family: family,
            live: guess,
            newHash: [],
            newRecord: [],
            ends: .init(family: WallTime(milliseconds: 0), accessLife: Milliseconds(0))
        )
        let connection = try BlockingConnection(house.redis.url)
        func answer() throws -> RefreshScript.Answer {
            RefreshScript.Answer(try connection.ask(RefreshScript.use(use, keys: keys)))
        }
        guard case .reused(live, let left) = try answer() else {
            Issue.record("not found")
            return
        }
        #expect(left > Milliseconds(4_400_000))
        // Not good any more, though its key still stands.
        #expect(throws: TokenRefusal.reused) { try house.refresh(third.refreshToken) }
        use.live = live
        guard case .reused(live, _) = try answer() else {
            Issue.record("not found")
            return
        }
        #expect(try house.keys("refresh:*") == [])
    }

    // MARK: - Decisions

    @Test func decisionsThatCameAfterTheGrantRefuse() throws {
        let house = try House()
        let tenant = (name: "tenant", json: Array(#""acme""#.utf8))
        let revoked = try house.grant("alice")
        let blocked = try house.grant("bob", claims: [tenant])
        let stale = try house.grant("carol")
        let spared = try house.grant("dora")
        try house.decide(.revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append)))
        try house.decide(.block(Selector(ids: [.tenant: "acme"]), except: nil, until: nil))
        try house.decide(.reauthenticate(Selector(ids: [.user: "carol"]), except: nil, within: .seconds(60)))
        #expect(throws: TokenRefusal.revoked) { try house.refresh(revoked.refreshToken) }
        #expect(throws: TokenRefusal.blocked) { try house.refresh(blocked.refreshToken) }
        #expect(throws: TokenRefusal.reauthenticationRequired) { try house.refresh(stale.refreshToken) }
        #expect(throws: Never.self) { try house.refresh(spared.refreshToken) }
        #expect(throws: TokenRefusal.blocked) { try house.grant("erin", claims: [tenant]) }
        // Whoever signs in again is another family; and what is lifted uses nothing up.
        #expect(throws: Never.self) { try house.refresh(house.grant("alice").refreshToken) }
        try house.decide(.unblock(Selector(ids: [.tenant: "acme"])))
        #expect(throws: Never.self) { try house.refresh(blocked.refreshToken) }
        // A decision that the log has forgotten stands in the hash.
        try house.redis.ask("XTRIM", "portcullis:log", "MAXLEN", "0")
        #expect(throws: TokenRefusal.revoked) { try house.refresh(revoked.refreshToken) }
        let family = Identifier(try #require(try claims(spared.accessToken)["sid"] as? String))
        try house.decide(.revoke(.init(select: Selector(ids: [.session: family]), issuedBefore: .never)))
        let next = try house.grant("dora")
        #expect(throws: Never.self) { try house.refresh(next.refreshToken) }
    }

    /// A user who is revoked while a rotation is under way: the new access token is older than the revocation.
    @Test func aRotationCannotOvertakeARevocation() throws {
        let house = try House()
        let first = try house.grant()
        let late = try house.tokens(standing: {
            let before = StandingDecisions()
            try house.decide(.revoke(.init(select: Selector(ids: [.user: "alice"]), issuedBefore: .append)))
            return before
        })
        let pair = try late.refresh(Array(first.refreshToken.utf8))
        let gate = try house.gate()
        defer { gate.stop() }
        let refused = try WebSocketPeer(gate.endpoint, headers: ["Authorization: Bearer \(pair.accessToken)"])
        #expect(refused.status == 401 && refused.body.contains(#""code":"revoked""#))
        #expect(throws: TokenRefusal.revoked) { try house.refresh(pair.refreshToken) }
    }

    @Test func theLogIsReadBeyondItsFirstPage() throws {
        let house = try House()
        let pair = try house.grant("alice")
        let connection = try BlockingConnection(house.redis.url)
        for index in 0..<2100 {
            let user = index == 2050 ? "alice" : "u\(index)"
            let event = #"{"v":1,"type":"revoke","select":{"user":"\#(user)"}}"#
            let order = Int64(Date().timeIntervalSince1970 * 1000) + Int64(index)
            _ = try connection.ask(
                Command("XADD", "portcullis:log", "*", "e", event, "i", "e\(index)", "o", String(order))
            )
        }
        #expect(throws: TokenRefusal.revoked) { try house.refresh(pair.refreshToken) }
    }

    // MARK: - At a gate

    @Test func aRotationClosesNothingAndAReuseTheWholeFamily() throws {
        let house = try House()
        let gate = try house.gate()
        defer { gate.stop() }
        let first = try house.grant()
        let (one, stranger) = (try peer(gate, first.accessToken), try peer(gate, house.grant("bob").accessToken))
        // The same user, signed in on another device.
        let elsewhere = try peer(gate, house.grant().accessToken)
        let second = try house.refresh(first.refreshToken)
        let two = try peer(gate, second.accessToken)
        let third = try house.refresh(second.refreshToken)
        #expect(try house.log == [])
        for peer in [one, two, stranger, elsewhere] { #expect(try echoes(peer)) }
        // The access token from before the rotation is good until it ends.
        #expect(try peer(gate, first.accessToken).status == 101)

        #expect(throws: TokenRefusal.reused) { try house.refresh(first.refreshToken) }
        #expect(try one.receiveClose() == .close(4410, "revoked"))
        #expect(try two.receiveClose() == .close(4410, "revoked"))
        for peer in [stranger, elsewhere] { #expect(try echoes(peer)) }
        for token in [first, second, third].map(\.accessToken) {
            let refused = try WebSocketPeer(gate.endpoint, headers: ["Authorization: Bearer \(token)"])
            #expect(refused.status == 401 && refused.body.contains(#""code":"revoked""#))
        }
        // Also at a gate that starts later.
        let later = try house.gate()
        defer { later.stop() }
        #expect(
            try WebSocketPeer(later.endpoint, headers: ["Authorization: Bearer \(third.accessToken)"]).status == 401
        )
        #expect(try peer(later, house.grant().accessToken).status == 101)
    }
}
