import Foundation
import PortcullisCore
import PortcullisTokens
import TestKit
import Testing

@testable import PortcullisControl

/// Key sets by URL, from an issuer that does as the test says, to a real gate on a real Redis.
@Suite(.serialized) struct KeyRefresherTests {
    /// An answer comes back.
    private func expectAlive(_ peer: WebSocketPeer) throws {
        try peer.send(text: #"{"type":"nonsense"}"#)
        #expect(try peer.receive(type: "error")["code"] as? String == "unknown_type")
    }

    @Test func aTokenByAFetchedKeyIsAdmitted() async throws {
        let issuer = try Issuer(["a"])
        let stage = try await Stage(["tokens.jwks": issuer.url])
        #expect(try stage.status(issuer.token("a")) == 101)
        #expect(try stage.code(issuer.token("a", kid: "b")) == "unknown_key")
        // Another key under the name of the one that is there.
        #expect(try stage.code(Issuer(["a"]).token("a")) == "bad_signature")
        await stage.end()
    }

    @Test func aNewKeyIsFetchedForTheFirstTokenThatNamesIt() async throws {
        let issuer = try Issuer(["a"])
        let stage = try await Stage(["tokens.jwks": issuer.url])
        try issuer.add("b")
        #expect(try stage.code(issuer.token("b")) == "unknown_key")
        try await stage.wait("the new key is accepted") { try stage.status(issuer.token("b")) == 101 }
        #expect(issuer.server.requests().count == 2)
        #expect(try stage.status(issuer.token("a")) == 101)
        await stage.end()
    }

    @Test func aNewKeyMayHaveAnotherAlgorithm() async throws {
        let issuer = try Issuer(["a"])
        let stage = try await Stage(["tokens.jwks": issuer.url])
        try issuer.add("b", .es256)
        #expect(try stage.code(issuer.token("b")) == "unknown_key")
        try await stage.wait("the new key is accepted") { try stage.status(issuer.token("b")) == 101 }
        // A secret never comes by a URL: nothing is asked for its sake.
        let secret = try TokenSigner(SigningKey(secret: Array(repeating: 7, count: 40).span, kid: "x"))
        #expect(try stage.code(Issuer.token(by: secret)) == "algorithm_forbidden")
        #expect(issuer.server.requests().count == 2)
        await stage.end()
    }

    @Test func randomNamesCauseOneFetch() async throws {
        let issuer = try Issuer(["a"])
        let stage = try await Stage(["tokens.jwks": issuer.url, "keys.cooldown": "10m"])
        for number in 0..<200 {
            #expect(try stage.code(issuer.token("a", kid: Identifier("random\(number)"))) == "unknown_key")
        }
        // The second is theirs; it is the last for the length of the cool-down.
        try await stage.wait("the set is fetched once more") { issuer.server.requests().count >= 2 }
        for number in 200..<400 {
            #expect(try stage.code(issuer.token("a", kid: Identifier("random\(number)"))) == "unknown_key")
        }
        #expect(try stage.status(issuer.token("a")) == 101)
        #expect(issuer.server.requests().count == 2)
        await stage.end()
    }

    @Test func oneIssuersNamesDoNotTroubleAnother() async throws {
        let (one, other) = (try Issuer(["k"]), try Issuer(["k"]))
        let stage = try await Stage([
            "tokens.issuers.one.issuer": "one", "tokens.issuers.one.jwks": one.url,
            "tokens.issuers.other.issuer": "other", "tokens.issuers.other.jwks": other.url,
        ])
        #expect(try stage.status(one.token("k", issuer: "one")) == 101)
        #expect(try stage.status(other.token("k", issuer: "other")) == 101)
        #expect(try stage.code(one.token("k", issuer: "other")) == "bad_signature")
        #expect(try stage.code(one.token("k", kid: "new", issuer: "one")) == "unknown_key")
        try await stage.wait("the first is asked") { one.server.requests().count == 2 }
        #expect(try stage.code(one.token("k", issuer: "third")) == "wrong_issuer")
        #expect(other.server.requests().count == 1)
        await stage.end()
    }

    @Test func aSetThatTwoIssuersShareIsFetchedOnce() async throws {
        let issuer = try Issuer(["k"])
        let stage = try await Stage([
            "tokens.issuers.one.issuer": "one", "tokens.issuers.one.jwks": issuer.url,
            "tokens.issuers.other.issuer": "other", "tokens.issuers.other.jwks": issuer.url,
        ])
        #expect(try stage.status(issuer.token("k", issuer: "one")) == 101)
        #expect(try stage.status(issuer.token("k", issuer: "other")) == 101)
        #expect(issuer.server.requests().count == 1)
        await stage.end()
    }

    @Test(arguments: ["500", "garbage", "error document", "silence", "away"])
    func theLastGoodSetStaysWhileTheIssuerIsAway(how: String) async throws {
        let issuer = try Issuer(["a"])
        let patience = how == "silence" ? Duration.seconds(2) : .seconds(20)
        let stage = try await Stage(["tokens.jwks": issuer.url, "keys.refresh": "20ms"], patience: patience)
        switch how {
        case "500": issuer.server.answer(.status(500))
        case "garbage": issuer.server.answer(.body(Array("<html>".utf8)))
        case "error document": issuer.server.answer(.body(Array(#"{"error":"busy"}"#.utf8)))
        case "silence": issuer.server.answer(.silence)
        default: issuer.server.stop()
        }
        let before = issuer.server.requests().count
        try await stage.wait("it is told") { stage.lines("cannot be fetched") == 1 }
        if how != "away" { try await stage.wait("it is tried again") { issuer.server.requests().count > before + 3 } }
        #expect(try stage.status(issuer.token("a")) == 101)
        // Once for the change, not for each attempt.
        #expect(stage.lines("cannot be fetched") == 1)
        if how != "away" {
            try issuer.publish()
            try await stage.wait("it is back") { stage.lines("can be fetched again") == 1 }
        }
        await stage.end()
    }

    @Test func theGateStartsWithoutItsIssuerAndGoesOnTrying() async throws {
        let issuer = try Issuer(["a"])
        issuer.server.answer(.status(503))
        let stage = try await Stage(["tokens.jwks": issuer.url, "keys.refresh": "20ms"])
        #expect(try stage.code(issuer.token("a")) == "unknown_key")
        #expect(stage.lines("refused with unknown_key") == 1)
        try issuer.publish()
        try await stage.wait("the key is accepted") { try stage.status(issuer.token("a")) == 101 }
        await stage.end()
    }

    @Test func aRemovedKeyRefusesAndLeavesLiveConnections() async throws {
        let issuer = try Issuer(["a", "b"])
        let stage = try await Stage(["tokens.jwks": issuer.url, "keys.refresh": "20ms"])
        let peer = try stage.connect(issuer.token("a"))
        try issuer.remove("a")
        try await stage.wait("the key is refused") { try stage.code(issuer.token("a")) == "unknown_key" }
        #expect(try stage.status(issuer.token("b")) == 101)
        try expectAlive(peer)
        await stage.end()
    }

    @Test func aSetWithoutKeysWithdrawsAll() async throws {
        let issuer = try Issuer(["a"])
        let stage = try await Stage(["tokens.jwks": issuer.url, "keys.refresh": "20ms"])
        #expect(try stage.status(issuer.token("a")) == 101)
        try issuer.remove("a")
        try await stage.wait("the key is refused") { try stage.code(issuer.token("a")) == "unknown_key" }
        #expect(stage.lines("holds no usable key") == 1)
        await stage.end()
    }

    @Test func closeOnRemovalClosesWhomTheKeyAdmittedAndNobodyElse() async throws {
        // Both call their key the same, and a third has one without a name, which answers to any.
        let (one, other, third) = (try Issuer(["k", "spare"]), try Issuer(["k"]), try Issuer([nil]))
        let stage = try await Stage([
            "tokens.issuers.one.issuer": "one", "tokens.issuers.one.jwks": one.url,
            "tokens.issuers.other.issuer": "other", "tokens.issuers.other.jwks": other.url,
            "tokens.issuers.third.issuer": "third", "tokens.issuers.third.jwks": third.url,
            "keys.refresh": "20ms", "keys.close_on_removal": "true",
        ])
        let gone = try (0..<120).map { _ in try stage.connect(one.token("k", issuer: "one")) }
        let raw = try stage.connect(one.token("k", issuer: "one"), raw: true)
        let spared = try stage.connect(one.token("spare", issuer: "one"))
        let stranger = try stage.connect(other.token("k", issuer: "other"))
        let anybody = try stage.connect(third.token(nil, kid: "k", issuer: "third"))
        try one.remove("k")
        // 121 on two loops.
        try await stage.wait("they are closed") { stage.closed == 121 }
        for peer in gone {
            let closing = try peer.receive(type: "closing")
            #expect(closing["code"] as? Int == 4401)
            #expect(closing["reconnect"] as? String == "reauthenticate")
            #expect((closing["detail"] as? String)?.contains("withdrawn") == true)
            #expect(try peer.receiveClose() == .close(4401, "expired"))
        }
        #expect(try raw.receiveClose() == .close(4401, "expired"))
        for peer in [spared, stranger, anybody] { try expectAlive(peer) }
        // It comes back: nobody who lives is touched.
        try one.publish()
        try await stage.wait("the key is accepted again") { try stage.status(one.token("k", issuer: "one")) == 101 }
        try expectAlive(spared)
        await stage.end()
    }

    @Test func aKeyThatIsRenamedIsTheSameKey() async throws {
        let issuer = try Issuer(["a"])
        let stage = try await Stage([
            "tokens.jwks": issuer.url, "keys.refresh": "20ms", "keys.close_on_removal": "true",
        ])
        let peer = try stage.connect(issuer.token("a"))
        try issuer.rename("a", to: "z")
        try await stage.wait("its new name is known") { try stage.status(issuer.token("a", kid: "z")) == 101 }
        try expectAlive(peer)
        await stage.end()
    }

    @Test func aSetThatWasFetchedOutlivesTheGate() async throws {
        let issuer = try Issuer(["a"])
        let folder = try TemporaryFolder()
        let first = try await Stage(["tokens.jwks": issuer.url], state: folder.state)
        await first.end()
        let files = try FileManager.default.contentsOfDirectory(atPath: "\(folder.state.path)/keys")
        let file = try #require(files.first.map { "\(folder.state.path)/keys/\($0)" })
        #expect(files.count == 1 && files[0].count == 64 + 5)
        #expect(try folder.permissions(file) == 0o600)

        issuer.server.answer(.status(500))
        let second = try await Stage(["tokens.jwks": issuer.url], state: folder.state)
        #expect(try second.status(issuer.token("a")) == 101)
        #expect(second.lines("stays in force") == 1)
        await second.end()

        try Data("{\"keys\":".utf8).write(to: URL(filePath: file))
        let third = try await Stage(["tokens.jwks": issuer.url], state: folder.state)
        #expect(try third.code(issuer.token("a")) == "unknown_key")
        #expect(third.lines("is not used") == 1)
        await third.end()

        // Whoever could write it could say whose tokens are accepted.
        try Data(issuer.jwks()).write(to: URL(filePath: file))
        try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: file)
        let fourth = try await Stage(["tokens.jwks": issuer.url], state: folder.state)
        #expect(try fourth.code(issuer.token("a")) == "unknown_key")
        #expect(fourth.lines("is not used") == 1)
        await fourth.end()
    }

    @Test func aPasswordStandsInNoLine() async throws {
        let issuer = try Issuer(["a"])
        let url = issuer.server.url(account: "gate:s3same@")
        let stage = try await Stage(["tokens.jwks": url, "keys.refresh": "20ms"])
        issuer.server.answer(.status(302, location: url))
        try await stage.wait("it is told") { stage.lines("cannot be fetched") == 1 }
        #expect(stage.lines("s3same") == 0)
        #expect(stage.lines("gate:***@127.0.0.1") >= 2)
        var settings = ""
        dump(stage.settings, to: &settings)
        #expect(!settings.contains("s3same"))
        #expect(!stage.settings.effectiveYAML.contains("s3same"))
        await stage.end()
    }

    @Test func aCommandFetchesOnce() async throws {
        let issuer = try Issuer(["a"])
        let folder = try TemporaryFolder()
        let settings = try Settings.load(flags: ["tokens.jwks": issuer.server.url(account: "gate:s3same@")])
        let loaded = try TokenKeys.load(settings, state: folder.state)
        let judge = TokenJudge(try await TokenKeys.fetch(loaded))
        #expect(try judge.judge(Array(issuer.token("a").utf8)).accepted)
        #expect(issuer.server.requests().count == 1)
        issuer.server.answer(.status(500))
        await #expect {
            _ = try await TokenKeys.fetch(loaded)
        } throws: { error in
            "\(error)".contains("it answered 500") && !"\(error)".contains("s3same")
        }
    }
}
