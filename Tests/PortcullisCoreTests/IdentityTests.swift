import PortcullisCore
import Testing

@Suite struct IdentityTests {
    static let ids: [Identity.Field: Identifier] = [
        .session: "s", .token: "tok", .tokenHash: "00ff", .tenant: "acme", .device: "d", .key: "k1",
        .issuer: "https://issuer.test/",
    ]

    @Test func everyFieldIsFoundAgain() {
        let identity = Identity(user: "alice", ids: Self.ids, issued: ms(1), expires: ms(2), authenticated: ms(3))
        #expect(identity.user == "alice")
        for field in Identity.Field.allCases where field != .user {
            #expect(identity[field] == Self.ids[field])
            #expect(identity.has(field))
        }
        for field in Identity.Field.allCases {
            var bytes: [UInt8] = []
            identity.withBytes(of: field) { for at in $0.indices { bytes.append($0[at]) } }
            #expect(Identifier(bytes: bytes) == identity[field])
            Identity(user: "").withBytes(of: field) { bytes = $0.isEmpty ? [] : bytes }
            #expect(bytes == [])
        }
        #expect(identity.issued == ms(1))
        #expect(identity.expires == ms(2))
        #expect(identity.authenticated == ms(3))
        #expect(identity.kind == .token)
    }

    @Test(arguments: Identity.Field.allCases) func oneFieldAlone(_ field: Identity.Field) {
        guard field != .user else {
            #expect(Identity(user: "u")[.user] == "u")
            return
        }
        let identity = Identity(user: "u", ids: [field: "x"])
        for other in Identity.Field.allCases where other != .user {
            #expect(identity[other] == (other == field ? "x" : nil))
            #expect(identity.matches(other, Identifier("x")) == (other == field))
        }
    }

    @Test func anEmptyIDIsAbsentAndALongOneIsCut() {
        let long = Identifier(String(repeating: "x", count: 300))
        let identity = Identity(user: "u", ids: [.session: "", .token: long])
        #expect(identity[.session] == nil)
        #expect(!identity.has(.session))
        #expect(identity[.token]?.bytes.count == 255)
        #expect(!identity.matches(.token, long))
    }

    /// The registry finds a connection by the hash of the bytes where they stand.
    @Test(arguments: ["a", "alice", "1*", "a:b", "\u{E9}", "e\u{301}", "user with spaces", "\u{1F600}"])
    func hashesAsItsIdentifiers(_ text: String) {
        let id = Identifier(text)
        let identity = Identity(user: id, ids: [.session: id, .issuer: id])
        for field in [Identity.Field.user, .session, .issuer] {
            #expect(identity.hash(field) == id.hashValue)
            #expect(identity.matches(field, id))
            #expect(identity.matches(field, Identity(user: id, ids: [.session: id, .issuer: id])))
        }
    }

    @Test(arguments: [("alice", "alic"), ("alice", "alice2"), ("alice", "Alice"), ("\u{E9}", "e\u{301}"), ("a", "")])
    func otherBytesAreAnother(_ mine: String, _ theirs: String) {
        #expect(!Identity(user: Identifier(mine)).matches(.user, Identifier(theirs)))
        #expect(!Identity(user: Identifier(mine)).matches(.user, Identity(user: Identifier(theirs))))
        #expect(Identifier(mine) != Identifier(theirs))
    }

    /// Neighbours in the one array do not run into each other.
    @Test func idsDoNotShiftIntoEachOther() {
        let left = Identity(user: "ab", ids: [.session: "c"])
        let right = Identity(user: "a", ids: [.session: "bc"])
        #expect(!left.matches(.user, right))
        #expect(!left.matches(.session, right))
    }

    @Test func endsThatMakeNoSenseAreCut() {
        func identity(_ ends: [8 of UInt16]) -> Identity {
            Identity(
                text: Array("abc".utf8),
                ends: ends,
                issued: nil,
                expires: nil,
                authenticated: nil,
                kind: .session,
                permissions: [:]
            )
        }
        let whole = identity([1, 2, 3, 3, 3, 3, 3, 3])
        #expect([whole[.user], whole[.session], whole[.token]] == ["a", "b", "c"])
        let beyond = identity([2, 1, 900, 0, 0, 0, 0, 7])
        #expect(beyond[.user] == "ab")
        #expect(beyond[.session] == nil)
        #expect(beyond[.token] == "c")
        #expect(beyond[.issuer] == nil)
    }

    @Test(arguments: [
        ("a", true), (String(repeating: "x", count: 255), true), ("\u{E9}\u{1F600} *:/", true), ("", false),
        (String(repeating: "x", count: 256), false), ("a\u{0}", false), ("\u{1F}", false), ("a\n", false),
        ("\u{7F}", false), ("\u{80}", true),
    ])
    func wellFormed(_ text: String, _ wellFormed: Bool) {
        #expect(Identifier(text).isWellFormed == wellFormed)
    }

    @Test func bytesThatAreNoText() {
        #expect(!Identifier(bytes: [0x61, 0xFF]).isWellFormed)
        #expect(!Identifier(bytes: [0xED, 0xA0, 0x80]).isWellFormed)
        #expect(Identifier(bytes: [0x61, 0xFF]).description == "a\u{FFFD}")
    }

    @Test func credentialsShowNothing() {
        struct Holder {
            let credential: Credential
        }
        for credential in [
            Credential.token(Array("hunter2".utf8), source: .header), .session("hunter2"), .ticket("hunter2"),
        ] {
            var dumped = ""
            dump(Holder(credential: credential), to: &dumped)
            let shown = "\(credential) \(String(reflecting: credential)) \(Holder(credential: credential)) \(dumped)"
            #expect(!shown.contains("hunter2"))
            #expect(!shown.contains("104"))
            #expect(shown.contains("\(credential.kind.rawValue) (redacted)"))
        }
    }
}
