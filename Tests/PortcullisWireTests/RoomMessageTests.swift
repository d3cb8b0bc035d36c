import PortcullisCore
import PortcullisWire
import Testing

@Suite struct RoomMessageTests {
    private func decode(_ text: String, limit: Int = 1 << 20) throws(RoomMessageRejection) -> RoomMessage? {
        var json = StrictJSON(maximumDepth: 32)
        return try RoomMessage.decode(Array(text.utf8), limit: limit, &json)
    }

    private static let connection = ConnectionID(instance: 1, serial: 2)

    static let messages: [(RoomMessage, String)] = [
        (
            RoomMessage(
                node: "ga",
                connection: connection,
                user: "alice",
                at: LogPosition(milliseconds: 17, sequence: 3),
                .text(Array("h\u{E9} \"you\"\n".utf8))
            ),
            #"{"v":1,"node":"ga","connection":"000000010000000000000002","user":"alice","text":"hé \"you\"\n","at":"17-3"}"#
        ),
        (
            RoomMessage(user: "billing", .json(Array(#"{"a":[1,null]}"#.utf8))),
            #"{"v":1,"user":"billing","data":{"a":[1,null]}}"#
        ),
        (RoomMessage(user: "b", .json(Array("null".utf8))), #"{"v":1,"user":"b","data":null}"#),
        (RoomMessage(user: "b", .binary([0, 255, 1])), #"{"v":1,"user":"b","b64":"AP8B"}"#),
        (RoomMessage(user: "b", .binary([0, 255])), #"{"v":1,"user":"b","b64":"AP8="}"#),
        (RoomMessage(user: "b", .binary([7])), #"{"v":1,"user":"b","b64":"Bw=="}"#),
        (RoomMessage(user: "b", .binary([])), #"{"v":1,"user":"b","b64":""}"#),
        (RoomMessage(node: "ga", user: nil, .missed), #"{"v":1,"node":"ga","kind":"missed"}"#),
        (
            RoomMessage(
                node: "ga",
                connection: connection,
                user: "alice",
                at: LogPosition(milliseconds: 17, sequence: 3),
                .joined
            ),
            #"{"v":1,"node":"ga","connection":"000000010000000000000002","user":"alice","kind":"joined","at":"17-3"}"#
        ),
        (RoomMessage(user: "b", .left), #"{"v":1,"user":"b","kind":"left"}"#),
    ]

    @Test(arguments: messages) func isWrittenAndRead(_ message: RoomMessage, _ text: String) throws {
        #expect(String(decoding: message.encode(), as: UTF8.self) == text)
        #expect(try decode(text) == message)
    }

    /// What a backend may leave out, write otherwise, or add.
    @Test func whatBackendsWrite() throws {
        let plain = RoomMessage(user: "b", .text(Array("x".utf8)))
        #expect(try decode(#" {"text":"\u0078", "user":"b","v":1,"node":null,"at":null,"more":{"text":2}} "#) == plain)
        #expect(try decode(#"{"v":1,"user":"b","text":""}"#) == RoomMessage(user: "b", .text([])))
    }

    @Test func thePlaceInTheLogIsAddedBehind() throws {
        let at = LogPosition(milliseconds: 5, sequence: 0)
        for (message, _) in Self.messages where message.at == nil {
            for isDelivered in [false, true] {
                let placed = RoomMessage.placed(message.encode(), at: at, isDelivered: isDelivered)
                var expected = message
                expected.at = at
                expected.isDelivered = isDelivered
                #expect(try decode(String(decoding: placed, as: UTF8.self)) == expected)
            }
        }
    }

    /// A kind of message that a newer gate sends is none of ours, and no mistake.
    @Test func unknownKindsAreLeftAlone() throws {
        #expect(try decode(#"{"v":1,"kind":"applause","user":"b","text":"x"}"#) == nil)
    }

    static let rejected: [(String, RoomMessageRejection)] = [
        ("hello", .notJSON(.malformed(at: 0))),
        ("[]", .notAnObject),
        ("{}", .unknownVersion),
        (#"{"v":2,"user":"b","text":"x"}"#, .unknownVersion),
        (#"{"v":"1","user":"b","text":"x"}"#, .unknownVersion),
        (#"{"v":1,"text":"x"}"#, .badField("user")),
        (#"{"v":1,"user":"","text":"x"}"#, .badField("user")),
        (#"{"v":1,"user":7,"text":"x"}"#, .badField("user")),
        (#"{"v":1,"user":"b"}"#, .badContent),
        (#"{"v":1,"user":"b","text":"x","data":1}"#, .badContent),
        (#"{"v":1,"user":"b","text":"x","b64":""}"#, .badContent),
        (#"{"v":1,"user":"b","text":7}"#, .badField("text")),
        (#"{"v":1,"user":"b","text":null}"#, .badField("text")),
        (#"{"v":1,"user":"b","b64":"AP8"}"#, .badField("b64")),
        (#"{"v":1,"user":"b","b64":"AP9="}"#, .badField("b64")),
        (#"{"v":1,"user":"b","b64":"===="}"#, .badField("b64")),
        (#"{"v":1,"user":"b","b64":"AP-_"}"#, .badField("b64")),
        (#"{"v":1,"user":"b","b64":1}"#, .badField("b64")),
        (#"{"v":1,"user":"b","text":"x","at":"17"}"#, .badField("at")),
        (#"{"v":1,"user":"b","text":"x","at":17}"#, .badField("at")),
        (#"{"v":1,"user":"b","text":"x","connection":"2"}"#, .badField("connection")),
        (#"{"v":1,"user":"b","text":"x","node":"a\nb"}"#, .badField("node")),
        (#"{"v":1,"user":"b","kind":1,"text":"x"}"#, .badField("kind")),
        (#"{"v":1,"kind":"joined"}"#, .badField("user")),
        (#"{"v":1,"kind":"left","user":""}"#, .badField("user")),
    ]

    @Test(arguments: rejected) func isRejected(_ text: String, _ rejection: RoomMessageRejection) {
        #expect(throws: rejection) { try decode(text) }
    }

    @Test func theContentIsBounded() throws {
        for content in [#""text":"12345""#, #""data":12345"#, #""b64":"MTIzNDU=""#] {
            #expect(try decode(#"{"v":1,"user":"b",\#(content)}"#, limit: 5) != nil)
            #expect(throws: RoomMessageRejection.tooLarge) { try decode(#"{"v":1,"user":"b",\#(content)}"#, limit: 4) }
        }
        let padding = String(repeating: " ", count: RoomMessage.longest(content: 4) + 1)
        #expect(throws: RoomMessageRejection.tooLarge) { try decode(padding, limit: 4) }
        #expect(RoomMessage.longest(content: .max) > 0)
    }
}
