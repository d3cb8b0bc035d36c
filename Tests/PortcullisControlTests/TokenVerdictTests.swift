import Foundation
import PortcullisControl
import PortcullisCore
import PortcullisTokens
import Testing

/// What `token verify` says to a developer.
@Suite struct TokenVerdictTests {
    private let secret = Array("a secret of the tests of verdicts, long enough".utf8)
    private let now = Int(Date().timeIntervalSince1970)

    private func key(kid: Identifier? = nil) throws -> SigningKey {
        try SigningKey(secret: secret.span, kid: kid)
    }

    private func judge(
        kid: Identifier? = nil,
        issuer: Identifier? = nil,
        audiences: [Identifier] = [],
        types: TokenTypes = .standard
    ) throws -> TokenJudge {
        let keys = try KeySet([try key(kid: kid).verificationKey])
        let issuer = TokenIssuer(issuer: issuer, audiences: audiences, keys: keys)
        return TokenJudge(try TokenPolicy(issuers: [issuer], types: types))
    }

    private func claims(_ changes: [String: String] = [:]) -> [UInt8] {
        var all = ["sub": #""alice""#, "iat": "\(now)", "exp": "\(now + 600)"]
        for (name, value) in changes { all[name] = value.isEmpty ? nil : value }
        return Array(("{" + all.sorted { $0.key < $1.key }.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}").utf8)
    }

    private func token(_ changes: [String: String] = [:], kid: Identifier? = nil) throws -> [UInt8] {
        try TokenSigner(try key(kid: kid)).sign(payload: claims(changes))
    }

    private func forged(_ header: String, _ payload: [UInt8]) -> [UInt8] {
        let dot = [UInt8(ascii: ".")]
        return Base64URL.encode(Array(header.utf8)) + dot + Base64URL.encode(payload) + dot
            + Base64URL.encode([1, 2, 3])
    }

    private func detail(_ judge: TokenJudge, _ token: [UInt8]) throws -> String {
        let verdict = judge.judge(token)
        let json = try JSONSerialization.jsonObject(with: Data(verdict.json.utf8)) as? [String: Any]
        let detail = try #require(json?["detail"] as? String)
        let code = try #require(json?["code"] as? String)
        #expect(verdict.words == "refused: \(code): \(detail)")
        #expect(!verdict.json.contains("\n") && detail.hasSuffix("."))
        return "\(code): \(detail)"
    }

    // MARK: - Claims that a key of ours has vouched for

    @Test func anExpiredTokenSaysSinceWhen() throws {
        let text = try detail(judge(), token(["exp": "\(now - 3 * 3600 - 300)", "iat": "\(now - 5 * 3600)"]))
        #expect(text.hasPrefix("expired: The token expired at 20"))
        #expect(text.contains(", 3 h 5 min ago"))
        #expect(try detail(judge(), token(["exp": "-1e300"])).contains("s since 1970"))
    }

    @Test func timesThatAreOff() throws {
        let early = try detail(judge(), token(["nbf": "\(now + 300)"]))
        #expect(early.hasPrefix("not_yet_valid: The token is not valid before 20") && early.contains("leeway is 30 s"))
        #expect(try detail(judge(), token(["iat": "1e300", "exp": "1e300"])).contains("thousands of years from now"))
        let long = try detail(judge(), token(["exp": "\(now + 2 * 86_400 + 7200)"]))
        #expect(long.contains("lives 2 d 2 h from iat to exp; accepted is 1 d (tokens.longest_life)"))
    }

    @Test func issuersAndAudiencesThatAreMeant() throws {
        let judge = try judge(issuer: "https://i.example", audiences: ["gate"])
        let issuer = try detail(judge, token(["iss": #""https://other.example""#, "aud": #""gate""#]))
        #expect(issuer.contains(#"of the issuer "https://other.example"; expected is "https://i.example""#))
        let audience = try detail(judge, token(["iss": #""https://i.example""#, "aud": #"["a","b"]"#]))
        #expect(audience.contains(#"meant for "a", "b" (aud); expected is "gate""#))
        #expect(try detail(judge, token(["iss": ""])).contains(#"It has the claims "exp", "iat", "sub"."#))
    }

    @Test func claimsOfTheWrongKind() throws {
        #expect(
            try detail(judge(), token(["exp": #""soon""#])).contains(
                "The claim exp is no number of seconds: it is a text"
            )
        )
        #expect(try detail(judge(), token(["sub": "7"])).contains(#"The claim "sub" is no text"#))
        #expect(try detail(judge(), token(["jti": "\"\(String(repeating: "x", count: 300))\""])).contains("300 bytes"))
        let twice = try TokenSigner(try key()).sign(payload: Array(#"{"sub":"a","sub":"b"}"#.utf8))
        #expect(try detail(judge(), twice).contains("a member at byte 12 stands twice"))
        let array = try TokenSigner(try key()).sign(payload: Array("[]".utf8))
        #expect(try detail(judge(), array).contains("no object of claims"))
    }

    // MARK: - Headers, which anybody can make up

    @Test func keysAndAlgorithms() throws {
        let unknown = try detail(judge(kid: "k1"), token(kid: "k2"))
        #expect(unknown == #"unknown_key: The token names the key "k2"; known are "k1"."#)
        let none = try detail(judge(), forged(#"{"alg":"none"}"#, claims()))
        #expect(none.hasPrefix(#"algorithm_forbidden: The token says "alg" "none"; the keys here are for HS256."#))
        let other = try detail(judge(), forged(#"{"alg":"HS256","typ":"logout+jwt"}"#, claims()))
        #expect(other.contains(#"says "typ" "logout+jwt"; accepted are jwt, at+jwt, none at all"#))
        let bad = try detail(judge(kid: "k1"), forged(#"{"alg":"HS256","kid":"k1"}"#, claims()))
        #expect(bad.contains("The signature is not that of the HS256 key k1"))
        let strange = try detail(judge(kid: "k1"), forged(#"{"alg":"HS256","kid":"a\u202eb\u009b"}"#, claims()))
        #expect(strange.hasPrefix("unknown_key"))
    }

    @Test func shapes() throws {
        let good = try token()
        let cases: [([UInt8], String)] = [
            (Array("Bearer ".utf8) + good, "begins with \"Bearer\""),
            (good + [0x20], "white space"),
            (good + Array(".a.b".utf8), "encrypted (JWE)"),
            (Array("abc".utf8), "fewer than three segments. A signed token has three"),
            (good + [UInt8(ascii: "=")], "no padding"),
            (Array(repeating: 0x61, count: 9000), "8192 bytes"),
            (forged(#"{"alg":"HS256","jku":"https://x"}"#, claims()), "the member \"jku\""),
            ([], "The token is empty."),
        ]
        for (text, words) in cases {
            let said = try detail(judge(), text)
            #expect(said.hasPrefix("malformed_token: ") && said.contains(words), "\(said)")
        }
    }

    @Test func nothingOfAnUnverifiedPayloadIsShown() throws {
        let payload = claims(["sub": #""private-person""#, "iss": #""private-issuer""#, "aud": #""private-aud""#])
        let headers = [
            #"{"alg":"HS256"}"#, #"{"alg":"HS256","kid":"x"}"#, #"{"alg":"none"}"#, #"{"alg":"HS256","typ":"x"}"#,
            #"{"alg":"HS256","crit":["x"]}"#, "x", "[]",
        ]
        let second = TokenIssuer(issuer: "b", keys: try KeySet([try key(kid: "k2").verificationKey]))
        let first = TokenIssuer(issuer: "a", keys: try KeySet([try key(kid: "k1").verificationKey]))
        let several = TokenJudge(try TokenPolicy(issuers: [first, second]))
        for header in headers {
            let token = forged(header, payload)
            for judge in try [judge(kid: "k1"), judge(issuer: "z"), several] {
                let verdict = judge.judge(token)
                #expect(!verdict.accepted && !verdict.json.contains("private"))
                for start in 0..<(token.count - 8) {
                    let part = String(decoding: token[start..<start + 9], as: UTF8.self)
                    #expect(!verdict.json.contains(part) && !verdict.words.contains(part), "\(verdict.words)")
                }
            }
        }
    }

    // MARK: - Files

    @Test func aFolderIsOneAnswerAFile() throws {
        let folder = try TemporaryFolder()
        func write(_ name: String, _ bytes: [UInt8]) throws {
            try Data(bytes).write(to: URL(filePath: folder.path + "/" + name))
        }
        let good = try token()
        try write("b.jwt", good + [0x0A])
        try write("a.jwt", good)
        try write("c", good + [0x0A, 0x0A])
        try write("Z", [])
        try write("large", Array(repeating: 0x61, count: 3_000_000))
        try write("full", Array(repeating: 0x61, count: 8192) + [0x0A])
        try FileManager.default.createDirectory(atPath: folder.path + "/d", withIntermediateDirectories: false)
        #expect(mkfifo(folder.path + "/pipe", 0o600) == 0)
        let files = try #require(try TokenFiles(folder.path))
        #expect(files.names == ["Z", "a.jwt", "b.jwt", "c", "full", "large"])
        let judge = try judge()
        let verdicts = files.names.map { files.verdict($0, judge) }
        #expect(verdicts.map(\.accepted) == [false, true, true, false, false, false])
        #expect(verdicts[1].json.hasPrefix(#"{"file":"a.jwt","accepted":true,"user":"alice","claims":{"#))
        #expect(verdicts[1].words.hasPrefix("a.jwt: accepted: user alice"))
        #expect(
            verdicts[0].json
                == #"{"file":"Z","accepted":false,"code":"malformed_token","detail":"The token is empty."}"#
        )
        #expect(verdicts[4].json.contains("fewer than three segments"))
        #expect(verdicts[5].json.contains("8192 bytes"))
        let single = try #require(try TokenFiles(folder.path + "/a.jwt"))
        #expect(single.names == [folder.path + "/a.jwt"] && single.verdict(single.names[0], judge).accepted)
        let unusable = TokenJudge(unusable: "The key is unreadable.")
        #expect(files.verdict("a.jwt", unusable).json.contains("The key is unreadable."))
        #expect(files.verdict("gone", judge).json.contains("cannot be read"))
        #expect(throws: StartupError.self) { try TokenFiles(folder.path + "/d") }
        #expect(try TokenFiles(String(decoding: good, as: UTF8.self)) == nil)
        #expect(try TokenFiles("") == nil && TokenFiles(folder.path + "/pipe") == nil)
    }
}

/// `tokens.scopes`.
@Suite struct ScopeSettingTests {
    private func settings(_ yaml: String) throws -> Settings {
        let folder = try TemporaryFolder()
        try Data(yaml.utf8).write(to: URL(filePath: folder.path + "/portcullis.yaml"))
        return try Settings.load(file: folder.path + "/portcullis.yaml")
    }

    private func sentence(_ yaml: String) -> String {
        do {
            _ = try settings(yaml)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test func scopesGiveRoles() throws {
        let folder = try TemporaryFolder()
        let secret = Array("a secret of the tests of scopes, long enough".utf8)
        try Data(secret).write(to: URL(filePath: folder.path + "/secret"))
        #expect(chmod(folder.path + "/secret", 0o600) == 0)
        let settings = try settings(
            """
            tokens:
              secret_file: \(folder.path)/secret
              issuer: a
              scopes: ["docs.write doc:42 editor", "docs.write doc:43 viewer", "read the plan commenter"]
              issuers:
                b:
                  secret_file: \(folder.path)/secret
                  issuer: b
                c:
                  secret_file: \(folder.path)/secret
                  issuer: c
                  scopes: ["docs.write doc:42 owner"]
            """
        )
        let policy = try TokenKeys.policy(settings, state: folder.state)
        let verifier = TokenVerifier(policy)
        func permissions(_ issuer: String, _ scope: String) throws -> [Identifier: Role] {
            let now = WallTime(milliseconds: 1_767_268_800_000)
            let token = try TokenSigner(SigningKey(secret: secret.span)).sign([
                ("sub", Array(#""alice""#.utf8)), ("iss", TokenSigner.json(Identifier(issuer))),
                ("exp", TokenSigner.json(now + .seconds(60))), ("scope", TokenSigner.json(Identifier(scope))),
            ])
            return try verifier.verify(token.span, now: now).identity.permissions
        }
        let roles = RoleOrder.standard
        #expect(try permissions("a", "openid docs.write") == ["doc:42": roles.editor, "doc:43": roles.viewer])
        #expect(try permissions("a", "read")["the plan"] != nil)
        // The other issuers' begin as those of `tokens`, as claims do.
        #expect(try permissions("b", "docs.write")["doc:42"] == roles.editor)
        #expect(try permissions("c", "docs.write").keys.sorted { "\($0)" < "\($1)" } == ["doc:42"])
        #expect(try permissions("c", "docs.write")["doc:42"] != roles.editor)
        #expect(try permissions("a", "DOCS.WRITE docs") == [:])
        #expect(settings.effectiveYAML.contains(#"scopes: ["docs.write doc:42 editor""#))
    }

    @Test(arguments: [
        "docs.write", "docs.write editor", "a  editor", #"a"b doc editor"#, "ä doc editor", "a doc ", " doc editor",
    ])
    func aScopeThatDoesNotFitIsOneSentence(text: String) {
        let said = sentence("tokens:\n  scopes: ['\(text)']\n")
        #expect(said.contains("tokens.scopes") && said.contains("such as docs.write doc:42 editor"), "\(said)")
        #expect(!said.contains("\n"))
    }

    @Test func aScopeNeedsARoleThatThereIs() {
        let said = sentence("tokens:\n  scopes: ['docs.write doc:42 emperor']\n")
        #expect(
            said.contains("tokens.scopes") && said.contains("write one of viewer, commenter, editor, owner"),
            "\(said)"
        )
        #expect(sentence("tokens:\n  scopes: ['a doc:42 editor', 'a doc:42 editor']\n").contains("stands twice"))
    }
}
