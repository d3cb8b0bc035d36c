import PortcullisCore
import Testing

/// G6: exactly the named one is touched. No pattern, no prefix, no separator, no Unicode equivalence.
@Suite struct PrecisionTests {
    static let names = [
        "1", "1*", "10", "*", "?", "[1]", "a", "a:b", "a:", ":b", "b", "a:b:c", "alice", "alic", "alice2", "Alice",
        "alice ",
        "\u{E9}", "e\u{301}", "e", "\u{3A9}", "\u{2126}", "\u{FB01}", "fi", "a\u{200D}b", "ab", "%31", "0", "-0", "1.0",
        "null",
        "..", "/", "\\", "\"", "'", "{}", "\u{1F600}", "\u{1F469}\u{200D}\u{1F4BB}", "\u{1F469}",
    ]

    @Test(arguments: names) func onlyTheNamedOne(_ name: String) {
        for field in Identity.Field.allCases {
            var revoked = Replica()
            revoked.revoke(Selector(ids: [field: Identifier(name)]), before: .never, order: 10)
            for other in Self.names {
                let id = Identifier(other)
                let identity = Identity(user: field == .user ? id : "someone", ids: [field: id])
                let same = Array(other.utf8) == Array(name.utf8)
                #expect((revoked.verdict(identity) == .revoked) == same, "\(field) \(name) \(other)")
            }
        }
    }

    @Test(arguments: names) func onlyTheNamedOneIsUnblockedAndSpared(_ name: String) {
        var replica = Replica()
        for other in Self.names { replica.block(user(Identifier(other)), as: Identifier("b" + other), order: 10) }
        replica.unblock(user(Identifier(name)), order: 20)
        #expect(replica.standing.count == Self.names.count - 1)
        #expect(replica.verdict(Identity(user: Identifier(name))) == nil)
        var sparing = Replica()
        sparing.revoke(Selector(all: true), except: user(Identifier(name)), order: 10)
        let spared = Self.names.filter { sparing.verdict(Identity(user: Identifier($0))) == nil }
        #expect(spared.map { Array($0.utf8) } == [Array(name.utf8)])
    }

    /// The registry too, by which live connections are found.
    @Test(arguments: names) func onlyTheNamedOneIsFound(_ name: String) {
        var registry = Registry()
        for (slot, other) in Self.names.enumerated() {
            let id = Identifier(other)
            #expect(
                registry.register(UInt32(slot), Identity(user: id, ids: [.session: id, .token: id]), presented: ms(0))
                    == true
            )
        }
        for field in [Identity.Field.user, .session, .token] {
            var found: [Identifier?] = []
            registry.forEachCandidate(Selector(ids: [field: Identifier(name)])) { _, identity in
                found.append(identity[field])
            }
            #expect(found == [Identifier(name)])
        }
    }
}
