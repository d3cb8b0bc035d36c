import PortcullisCore
import Testing

@Suite struct SelectorTests {
    static let connection = ConnectionID(instance: 7, serial: 9)

    func traits(_ roles: [Identifier: Identifier] = [:], bound: Identifier? = nil) -> ConnectionTraits {
        ConnectionTraits(id: Self.connection, address: IPAddress("192.0.2.1"), resource: bound) { roles[$0] }
    }

    @Test func whatASelectorIs() {
        #expect(Selector().isEmpty)
        #expect(!Selector(all: true).isEmpty)
        #expect(!Selector(network: IPNetwork("::1")).isEmpty)
        #expect(!Selector(role: "editor").isEmpty)
        #expect(Selector(role: "editor").namesConnections)
        #expect(Selector(resource: "doc:1").namesConnections)
        #expect(Selector(connection: Self.connection).namesConnections)
        #expect(!user("alice").namesConnections)
    }

    /// The default of `issued_before_ms` and the place a revocation is kept in follow from these two.
    @Test(arguments: Identity.Field.allCases) func whatItsFieldsSay(_ field: Identity.Field) {
        let select = Selector(ids: [field: "x"])
        #expect(select.namesOneCredential == [.token, .tokenHash, .session].contains(field))
        #expect(select.canMatchSession == ![.token, .tokenHash].contains(field))
    }

    @Test func aSelectorOfConnectionsMatchesNoCredential() {
        let identity = Identity(user: "alice")
        #expect(!Selector(ids: [.user: "alice"], resource: "doc:1").matches(identity, from: nil))
        #expect(!Selector(resource: "doc:1", all: true).matches(identity, from: nil))
        #expect(!Selector().matches(identity, from: nil))
        #expect(Selector(all: true).matches(identity, from: nil))
    }

    @Test func connectionsByWhatTheyAre() {
        let alice = Identity(user: "alice")
        let bound = traits(["doc:1": "editor", "doc:2": "viewer"], bound: "doc:1")
        func matches(_ select: Selector) -> Bool {
            let matches = select.matches(alice, bound)
            // Whoever is passed over by the quick look would not have matched.
            #expect(!matches || select.couldMatch(alice, from: bound.address))
            return matches
        }
        #expect(!Selector(ids: [.user: "bob"], resource: "doc:1").couldMatch(alice, from: bound.address))
        #expect(!Selector(network: IPNetwork("192.0.3.0/24")).couldMatch(alice, from: bound.address))
        #expect(!Selector().couldMatch(alice, from: bound.address))
        #expect(matches(Selector(connection: Self.connection)))
        #expect(!matches(Selector(connection: ConnectionID(instance: 7, serial: 8))))
        #expect(matches(Selector(resource: "doc:2")))
        #expect(!matches(Selector(resource: "doc:3")))
        #expect(matches(Selector(role: "editor")))
        #expect(!matches(Selector(role: "viewer")))
        #expect(matches(Selector(resource: "doc:2", role: "viewer")))
        #expect(!matches(Selector(resource: "doc:2", role: "editor")))
        #expect(!matches(Selector(ids: [.user: "bob"], resource: "doc:1")))
        #expect(matches(Selector(ids: [.user: "alice"], network: IPNetwork("192.0.2.0/24"), resource: "doc:1")))
        #expect(!matches(Selector(network: IPNetwork("192.0.3.0/24"))))
        #expect(!matches(Selector()))
        #expect(!Selector(role: "editor").matches(alice, traits(["doc:1": "editor"])))
    }

    @Test func namesOfConnections() {
        let id = ConnectionID(instance: 0xAB, serial: 0xCDEF)
        #expect(id.description == "000000ab000000000000cdef")
        #expect(ConnectionID(id.description) == id)
        #expect(ConnectionID(ConnectionID(instance: .max, serial: .max).description)?.serial == .max)
        for text in [
            "", "ab", "000000AB000000000000cdef", "000000ab000000000000cdeg", "000000ab000000000000cdef0",
            "+00000ab000000000000cdef", "000000ab+00000000000cdef", "000000ab000000000000cde\u{E9}",
        ] {
            #expect(ConnectionID(text) == nil)
        }
    }
}
