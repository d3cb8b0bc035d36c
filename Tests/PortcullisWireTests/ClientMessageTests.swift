import PortcullisCore
import PortcullisWire
import Testing

@Suite struct ClientMessageTests {
    func decode(_ json: String) throws(MessageRefusal) -> ClientMessage {
        var parser = StrictJSON()
        return try ClientMessage.decode(Array(json.utf8), &parser)
    }

    @Test(
        arguments: [
            (#"{"type":"authenticate","token":"a.b.c"}"#, .authenticate(token: Array("a.b.c".utf8))),
            (#"{"type":"refresh","token":"a.b.c"}"#, .refresh(token: Array("a.b.c".utf8), ref: nil)),
            (
                #"{"type":"refresh","token":"a.b.c","ref":"p1"}"#,
                .refresh(token: Array("a.b.c".utf8), ref: Array(#""p1""#.utf8))
            ),
            (#"{"token":"","type":"refresh"}"#, .refresh(token: [], ref: nil)),
            (#"{"type":"join","resource":"doc:1"}"#, .join(resource: "doc:1", ref: nil)),
            (#"{"type":"join","resource":"doc:1","ref":7}"#, .join(resource: "doc:1", ref: Array("7".utf8))),
            (#"{"type":"leave","resource":"doc:1","ref":"x"}"#, .leave(resource: "doc:1", ref: Array(#""x""#.utf8))),
            (#"{"type":"leave","resource":"d\u00e9\ud83d\ude00"}"#, .leave(resource: "d\u{E9}\u{1F600}", ref: nil)),
            (
                #" {"ref" : -1.5e3 , "type":"publish","resource":"doc:1","data": {"a" : [1, null]} } "#,
                .publish(resource: "doc:1", data: Array(#"{"a" : [1, null]}"#.utf8), ref: Array("-1.5e3".utf8))
            ),
            (#"{"type":"publish","data":"x\n"}"#, .publish(resource: nil, data: Array(#""x\n""#.utf8), ref: nil)),
            (#"{"type":"publish","data":null}"#, .publish(resource: nil, data: Array("null".utf8), ref: nil)),
            (#"{"\u0074ype":"join","resource":"r","unknown":{"type":"x"}}"#, .join(resource: "r", ref: nil)),
        ] as [(String, ClientMessage)]
    )
    func understood(_ json: String, _ message: ClientMessage) throws {
        #expect(try decode(json) == message)
    }

    @Test(
        arguments: [
            ("", .badMessage), ("x", .badMessage), ("[]", .badMessage), (#""join""#, .badMessage), ("{}", .badMessage),
            (#"{"type":1}"#, .badMessage), (#"{"type":"join","type":"leave","resource":"r"}"#, .badMessage),
            (#"{"type":"join","resource":"r"} {}"#, .badMessage), (#"{"type":""}"#, .unknownType),
            (#"{"type":"Join","resource":"r"}"#, .unknownType), (#"{"type":"welcome"}"#, .unknownType),
            (#"{"type":"join"}"#, .badResource), (#"{"type":"join","resource":""}"#, .badResource),
            (#"{"type":"join","resource":7}"#, .badResource), (#"{"type":"leave","resource":null}"#, .badResource),
            (#"{"type":"join","resource":"a\u0000"}"#, .badResource),
            (#"{"type":"join","resource":"\#(String(repeating: "x", count: 256))"}"#, .badResource),
            (#"{"type":"publish","resource":"r"}"#, .badMessage),
            (#"{"type":"publish","resource":"","data":1}"#, .badResource),
            (#"{"type":"refresh"}"#, .badMessage), (#"{"type":"refresh","token":["a"]}"#, .badMessage),
            (#"{"type":"authenticate","token":null}"#, .badMessage),
        ] as [(String, MessageRefusal.Code)]
    )
    func refused(_ json: String, _ code: MessageRefusal.Code) {
        #expect { try decode(json) } throws: { ($0 as? MessageRefusal)?.code == code }
    }

    /// A refusal carries the `ref` as it stood, so that the client finds the message again.
    @Test(arguments: [
        #"{"type":"x","ref":"a\u00e9\n"}"#, #"{"type":"join","ref":"a\u00e9\n"}"#, #"{"ref":"a\u00e9\n"}"#,
    ])
    func refusalsEcho(_ json: String) {
        #expect { try decode(json) } throws: {
            ($0 as? MessageRefusal)?.ref == Array(#""a\u00e9\n""#.utf8)
        }
    }

    @Test func aRefHasAtMost64Bytes() throws {
        func join(_ ref: String) -> String {
            #"{"type":"join","resource":"r","ref":\#(ref)}"#
        }
        let digits = String(repeating: "1", count: 64)
        for ref in [digits, "\"\(digits)\""] {
            #expect(try decode(join(ref)) == .join(resource: "r", ref: Array(ref.utf8)))
        }
        for ref in [digits + "1", "\"\(digits)1\"", "null", "true", "[]", "{}"] {
            #expect { try decode(join(ref)) } throws: {
                ($0 as? MessageRefusal)?.code == .badMessage && ($0 as? MessageRefusal)?.ref == nil
            }
        }
    }

    @Test func depthIsBounded() {
        let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        #expect(throws: MessageRefusal.self) { try decode(#"{"type":"publish","data":\#(deep)}"#) }
    }

    @Test func codesOfTheContract() {
        let codes: [MessageRefusal.Code] = [
            .unknownType, .badMessage, .forbidden, .notAMember, .badResource, .rateLimited, .tooLarge, .unavailable,
        ]
        #expect(
            codes.map(\.rawValue) == [
                "unknown_type", "bad_message", "forbidden", "not_a_member", "bad_resource", "rate_limited", "too_large",
                "unavailable",
            ]
        )
    }
}

@Suite struct ServerMessageTests {
    static let roles = RoleOrder.standard
    static let id = ConnectionID(instance: 1, serial: 2)
    static let owner = Role(rank: 3)

    static let welcome = ServerMessage.Welcome(
        connection: id,
        identity: Identity(
            user: "alice",
            ids: [.session: "s1", .token: "t1"],
            expires: WallTime(milliseconds: 1_700_000_000_250)
        ),
        resource: "doc:1",
        role: owner,
        permissions: ["doc:1": owner],
        node: "ga",
        heartbeat: .seconds(25)
    )

    static var bare: ServerMessage.Welcome {
        var bare = welcome
        bare.identity = Identity(user: "alice", ids: [.token: "t1"])
        bare.resource = nil
        bare.role = nil
        bare.permissions = [:]
        bare.heartbeat = Milliseconds(500)
        return bare
    }

    static func written(_ write: (inout [UInt8]) -> Void) -> [UInt8] {
        var bytes: [UInt8] = []
        write(&bytes)
        return bytes
    }

    static func message(_ resource: Identifier, _ content: RoomMessage.Content) -> [UInt8] {
        written {
            ServerMessage.appendMessage(resource: resource, user: "bob", connection: id, content, to: &$0)
        }
    }

    static let table: [([UInt8], String)] = [
        (
            written { ServerMessage.appendWelcome(welcome, roles: roles, to: &$0) },
            #"{"type":"welcome","connection":"000000010000000000000002","user":"alice","session":"s1","#
                + #""expires_at":1700000000.250,"resource":"doc:1","role":"owner","permissions":{"doc:1":"owner"},"#
                + #""node":"ga","heartbeat_s":25}"#
        ),
        (
            written { ServerMessage.appendWelcome(bare, roles: roles, to: &$0) },
            #"{"type":"welcome","connection":"000000010000000000000002","user":"alice","expires_at":null,"#
                + #""permissions":{},"node":"ga","heartbeat_s":0.500}"#
        ),
        (
            ServerMessage.permission(resource: "doc:1", from: owner, to: nil, version: 4, reason: "left", roles: roles),
            #"{"type":"permission","resource":"doc:1","from":"owner","to":null,"version":4,"reason":"left"}"#
        ),
        (
            ServerMessage.permission(
                resource: "doc:1",
                from: nil,
                to: Role(rank: 0),
                version: 1,
                reason: nil,
                roles: roles
            ),
            #"{"type":"permission","resource":"doc:1","from":null,"to":"viewer","version":1}"#
        ),
        (ServerMessage.notice(data: Array(#"{"a":1}"#.utf8)), #"{"type":"notice","data":{"a":1}}"#),
        (
            message("doc:1", .json(Array("null".utf8))),
            #"{"type":"message","resource":"doc:1","user":"bob","connection":"000000010000000000000002","data":null}"#
        ),
        (
            ServerMessage.joined(resource: "doc:1", role: owner, roles: roles, ref: Array("7".utf8)),
            #"{"type":"joined","resource":"doc:1","role":"owner","ref":7}"#
        ),
        (
            ServerMessage.joined(
                resource: "d",
                role: owner,
                members: ["a", "b\""],
                roles: roles,
                ref: Array("7".utf8)
            ),
            #"{"type":"joined","resource":"d","role":"owner","members":["a","b\""],"ref":7}"#
        ),
        (
            ServerMessage.joined(resource: "d", role: owner, members: [], roles: roles, ref: nil),
            #"{"type":"joined","resource":"d","role":"owner","members":[]}"#
        ),
        (
            message("d", .joined),
            #"{"type":"joined","resource":"d","user":"bob"}"#
        ),
        (
            message("d", .left),
            #"{"type":"left","resource":"d","user":"bob"}"#
        ),
        (ServerMessage.left(resource: "doc:1", ref: nil), #"{"type":"left","resource":"doc:1"}"#),
        (
            ServerMessage.expiring(WallTime(milliseconds: 1_700_000_000_250), left: Milliseconds(29_950)),
            #"{"type":"expiring","expires_at":1700000000.250,"in_s":29.950}"#
        ),
        (
            ServerMessage.refreshed(
                expires: WallTime(milliseconds: 1_700_000_000_000),
                permissions: ["doc:1": owner],
                roles: roles,
                ref: Array(#""p1""#.utf8)
            ),
            #"{"type":"refreshed","expires_at":1700000000,"permissions":{"doc:1":"owner"},"ref":"p1"}"#
        ),
        (
            ServerMessage.refreshed(expires: nil, permissions: [:], roles: roles, ref: nil),
            #"{"type":"refreshed","expires_at":null,"permissions":{}}"#
        ),
        (
            ServerMessage.reauthenticate(left: Milliseconds(60_000), reason: "password_changed"),
            #"{"type":"reauthenticate","deadline_s":60,"reason":"password_changed"}"#
        ),
        (
            ServerMessage.error(MessageRefusal(.notAMember, "Join first.", ref: Array(#""r""#.utf8))),
            #"{"type":"error","code":"not_a_member","detail":"Join first.","ref":"r"}"#
        ),
        (
            ServerMessage.error(MessageRefusal(.tooLarge, "Too large.")),
            #"{"type":"error","code":"too_large","detail":"Too large."}"#
        ),
        (
            ServerMessage.closing(
                code: 4401,
                reason: "expired",
                reconnect: .reauthenticate,
                retryAfter: nil,
                detail: nil
            ),
            #"{"type":"closing","code":4401,"reason":"expired","reconnect":"reauthenticate"}"#
        ),
        (
            ServerMessage.closing(
                code: 1001,
                reason: "shutting_down",
                reconnect: .later,
                retryAfter: Milliseconds(1500),
                detail: "So \"long\"."
            ),
            #"{"type":"closing","code":1001,"reason":"shutting_down","reconnect":"later","retry_after_ms":1500,"#
                + #""detail":"So \"long\"."}"#
        ),
    ]

    @Test(arguments: table) func exactly(_ message: [UInt8], _ text: String) throws {
        #expect(String(decoding: message, as: UTF8.self) == text)
        var json = StrictJSON()
        try json.parse(message.span)
    }

    @Test func namesThatNeedEscapes() throws {
        var welcome = Self.bare
        let user: Identifier = "a\"b\\c"
        welcome.identity = Identity(user: user)
        welcome.permissions = ["d\"\u{1F600}": Self.owner]
        let bytes = Self.written { ServerMessage.appendWelcome(welcome, roles: Self.roles, to: &$0) }
        var json = StrictJSON()
        try json.parse(bytes.span)
        #expect(json.member("user", in: bytes.span).flatMap { json.string($0, in: bytes.span) } == user)
        let permissions = json.member("permissions", in: bytes.span)
        let names = json.members(of: try #require(permissions)).map { json.string($0.name, in: bytes.span) }
        #expect(names == ["d\"\u{1F600}"])
    }
}
