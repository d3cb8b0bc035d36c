import PortcullisCore
import PortcullisRedis
import PortcullisWire
import TestKit
import Testing

@Suite struct SharedKeyTests {
    @Test(arguments: [
        (#""token":"abc""#, "revoked:abc"), (#""token_hash":"\#(hashOfAToken)""#, "jwt_blacklist:\(hashOfAToken)"),
        (#""token":"a*b c""#, "revoked:a*b c"),
    ])
    func areWritten(_ select: String, _ key: String) throws {
        let log = try LogUnderTest()
        let policy = AppendScript.Policy(longestToken: .seconds(600))
        #expect(try log.append(revokeEvent(select), as: "e1", policy: policy).order != nil)
        #expect(try log.ask("GET", key).text == "1")
        let life = try #require(try log.ask("PTTL", key).integer)
        #expect((590_000...600_000).contains(life))
    }

    /// Only for exactly one token or hash: plain services cannot check the rest.
    @Test(arguments: [
        revokeEvent(#""user":"alice""#), revokeEvent(#""session":"s""#), revokeEvent(#""token":"t","user":"alice""#),
        revokeEvent(#""token":"t","ip":"10.0.0.1""#), revokeEvent(#""token":"t""#, #","except":{"user":"alice"}"#),
        revokeEvent(#""token":"t","token_hash":"\#(hashOfAToken)""#), revokeEvent(#""all":true"#),
    ])
    func areNotWritten(_ json: String) throws {
        let log = try LogUnderTest()
        #expect(try log.append(json, as: "e1").order != nil)
        #expect(try log.names().filter { !$0.hasPrefix("t:") } == [])
    }

    /// The decision stands and is said; that the shared key could not be written is in the answer.
    @Test func aFailureIsReportedNotRaised() throws {
        let log = try LogUnderTest()
        let policy = AppendScript.Policy(longestToken: Milliseconds(0))
        let answer = try log.append(revokeEvent(#""token":"abc""#), as: "e1", policy: policy)
        guard case .appended(_, _, let failure?) = answer else {
            Issue.record("\(answer)")
            return
        }
        #expect(failure.contains("invalid expire time"))
        #expect(try log.heard().key == "e1")
        #expect(try log.ask("EXISTS", "revoked:abc") == .integer(0))
    }

    /// What stands there already, of whatever type, gives way: the token is revoked.
    @Test func aSharedKeyOfAnotherType() throws {
        let log = try LogUnderTest()
        _ = try log.ask("SADD", "revoked:abc", "x")
        guard case .appended(_, _, nil) = try log.append(revokeEvent(#""token":"abc""#), as: "e1") else {
            Issue.record("it was not appended")
            return
        }
        #expect(try log.ask("GET", "revoked:abc").text == "1")
    }

    @Test func theAnswerCarriesTheFailure() {
        func bytes(_ text: String) -> RESPValue {
            .bytes(Array(text.utf8))
        }
        let failed = [bytes("1-1"), bytes("7"), bytes("appended"), bytes(""), bytes("WRONGTYPE x")]
        #expect(
            AppendScript.Answer(.array(failed)) == .appended(position: "1-1", order: 7, failure: "WRONGTYPE x")
        )
        let odd: [RESPValue] = [.null, .array([]), .array([.null, .null, .null, .null, .null]), .integer(1)]
        for reply in odd {
            guard case .refused(let sentence) = AppendScript.Answer(reply) else {
                Issue.record("\(reply) was taken")
                continue
            }
            #expect(sentence.hasSuffix("."))
        }
        #expect(AppendScript.Answer(.error("BADEVENT x")) == .refused("BADEVENT x"))
    }
}

@Suite struct RefusedEventTests {
    static let names = ["t:log", "t:order", "t:seen:e1", "t:standing", "t:epoch", "t:perm:alice"]

    static func arguments(_ json: String, id: String = "e1") -> [String] {
        [json, id, "", "90000000", "90000000", "t:events", "60000", "x"]
    }

    @Test(arguments: [
        "", "x", "[]", "1", "null", "{}", #"{"type":"revoke","select":{"user":"a"}}"#,
        #"{"v":2,"type":"revoke","select":{"user":"a"}}"#, #"{"v":"1","type":"revoke","select":{"user":"a"}}"#,
        #"{"v":1,"select":{"user":"a"}}"#, #"{"v":1,"type":7,"select":{"user":"a"}}"#, #"{"v":1,"type":"revoke"}"#,
        #"{"v":1,"type":"revoke","select":{}}"#, #"{"v":1,"type":"revoke","select":[]}"#,
        #"{"v":1,"type":"revoke","select":null}"#, #"{"v":1,"type":"revoke","select":"alice"}"#,
        #"{"v":1,"type":"block"}"#, #"{"v":1,"type":"unblock","select":{}}"#, #"{"v":1,"type":"reauthenticate"}"#,
        #"{"v":1,"type":"notify","select":{"user":"a"},"data":1}"#,
        #"{"v":1,"type":"disconnect","select":{"user":"a"}}"#,
        #"{"v":1,"type":"erase","select":{"user":"a"}}"#, #"{"v":1,"type":"permit","user":"alice","role":null}"#,
        #"{"v":1,"type":"permit","resource":"r","role":null}"#, #"{"v":1,"type":"permit","user":1,"resource":"r"}"#,
        #"{"v":1,"type":"lift"}"#, #"{"v":1,"type":"lift","decision":7}"#,
    ])
    func leaveNothing(_ json: String) throws {
        let log = try LogUnderTest()
        let answer = AppendScript.Answer(try log.raw(keys: Self.names, Self.arguments(json)))
        guard case .refused(let error) = answer else {
            Issue.record("\(json) was taken: \(answer)")
            return
        }
        #expect(error.hasPrefix("BADEVENT"))
        #expect(try log.names() == [])
    }

    @Test func missingArguments() throws {
        let log = try LogUnderTest()
        let json = #"{"v":1,"type":"revoke","select":{"user":"a"}}"#
        let full = Self.arguments(json)
        for count in 0..<6 {
            #expect(try log.raw(keys: Self.names, Array(full[..<count])).errorText != nil)
        }
        for count in 0..<5 {
            #expect(try log.raw(keys: Array(Self.names[..<count]), full).errorText != nil)
        }
        #expect(try log.raw(keys: Self.names, Self.arguments(json, id: "")).errorText != nil)
        var odd = full
        odd[3] = "soon"
        #expect(try log.raw(keys: Self.names, odd).errorText != nil)
        #expect(try log.names() == [])
    }

    /// A key of another type stops the script before it has written anything: no half of a decision.
    @Test(arguments: ["t:log", "t:order", "t:seen:e1", "t:standing", "t:epoch", "t:perm:alice"])
    func aKeyOfAnotherType(_ name: String) throws {
        let log = try LogUnderTest()
        _ = try log.ask("SADD", name, "x")
        let json =
            name == "t:perm:alice"
            ? #"{"v":1,"type":"permit","user":"alice","resource":"r","role":null}"# : revokeEvent(#""user":"alice""#)
        guard case .refused(let error) = try log.append(json, as: "e1") else {
            Issue.record("it was appended")
            return
        }
        #expect(error.hasPrefix("WRONGTYPE"))
        #expect(try log.names() == [name])
        _ = try log.ask("DEL", name)
        #expect(try log.append(json, as: "e1").order != nil)
        #expect(try log.heard().key == "e1")
    }
}
