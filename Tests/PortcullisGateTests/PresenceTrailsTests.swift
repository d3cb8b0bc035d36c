import PortcullisCore
import Testing

@testable import PortcullisGate

/// News that come while a list is waited for.
@Suite struct PresenceTrailsTests {
    @Test func newsAreAddedToTheListThatTheyBelongBehind() {
        var trails = PresenceTrails()
        // Nobody waits: nothing is kept.
        trails.note("r", "early", isPresent: true)
        let first = trails.begin("r")
        trails.note("r", "bob", isPresent: false)
        trails.note("r", "carol", isPresent: true)
        trails.note("s", "dave", isPresent: true)
        let second = trails.begin("r")
        trails.note("r", "bob", isPresent: true)
        trails.note("r", "alice", isPresent: true)
        trails.note("r", "alice", isPresent: false)
        #expect(trails.isAwaited("r") && !trails.isAwaited("s"))
        let one = trails.end("r", since: first, ["alice", "erin", "carol"], most: 9)
        #expect(one.map(Set.init) == ["bob", "erin", "carol"] && one?.count == 3)
        #expect(trails.isAwaited("r"))
        // What came before the question is in the list, or is not so.
        let two = trails.end("r", since: second, ["erin"], most: 9)
        #expect(two.map(Set.init) == ["erin", "bob"])
        #expect(!trails.isAwaited("r"))
        let again = trails.begin("r")
        #expect(again == 0)
        #expect(trails.end("r", since: again, ["x"], most: 9) == ["x"])
    }

    @Test func withNewsMissingThereIsNoList() {
        var trails = PresenceTrails()
        var place = trails.begin("r")
        trails.lose("r")
        #expect(trails.end("r", since: place, ["x"], most: 9) == nil)
        trails.lose("r")
        place = trails.begin("r")
        #expect(trails.end("r", since: place, nil, most: 9) == nil)
        // Bounded.
        place = trails.begin("r")
        for number in 0..<PresenceTrails.mostNews { trails.note("r", Identifier("u\(number)"), isPresent: true) }
        let late = trails.begin("r")
        #expect(trails.end("r", since: place, ["x"], most: 10)?.count == 10)
        trails.note("r", "one more", isPresent: true)
        #expect(trails.end("r", since: late, ["x"], most: 9) == nil)
        #expect(!trails.isAwaited("r"))
    }
}
