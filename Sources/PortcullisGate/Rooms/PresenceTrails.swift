import PortcullisCore

/// What is heard of who comes to a room and who goes, while somebody waits for the list of who is there.
///
/// The list comes on one link and the news on the other, in no order: news that belong behind the list may come before it, when whoever
/// asked is no member yet. So they are kept, and added to the list when it comes. Those that it holds already change nothing: the last word
/// about each user is the newer.
struct PresenceTrails {
    private struct Trail {
        var waiting = 0
        var news: [(user: Identifier, isPresent: Bool)] = []
        /// Something may be missing in it.
        var isBroken = false
    }

    private var trails: [Identifier: Trail] = [:]

    /// News of one room that are kept: with more the list is not told.
    static let mostNews = 4096

    /// Whether somebody waits for the list of a room.
    func isAwaited(_ resource: Identifier) -> Bool {
        trails[resource] != nil
    }

    /// Somebody asks for the list of a room.
    /// - Returns: from where on the news matter to whoever asks.
    mutating func begin(_ resource: Identifier) -> Int {
        trails[resource, default: Trail()].waiting += 1
        return trails[resource]?.news.count ?? 0
    }

    mutating func note(_ resource: Identifier, _ user: Identifier, isPresent: Bool) {
        guard trails[resource] != nil else { return }
        guard (trails[resource]?.news.count ?? 0) < Self.mostNews else { return lose(resource) }
        trails[resource]?.news.append((user, isPresent))
    }

    /// News may have been lost.
    mutating func lose(_ resource: Identifier) {
        trails[resource]?.isBroken = true
    }

    /// The answer has come, once for each ``begin(_:)``.
    /// - Parameters:
    ///   - place: what ``begin(_:)`` gave.
    ///   - names: the list; nil: there is none.
    ///   - most: how many names are told.
    /// - Returns: the list as of now; nil where it is not known.
    mutating func end(_ resource: Identifier, since place: Int, _ names: [Identifier]?, most: Int) -> [Identifier]? {
        guard var trail = trails[resource] else { return names }
        trail.waiting -= 1
        trails[resource] = trail.waiting > 0 ? trail : nil
        guard var names, !trail.isBroken, place <= trail.news.count else { return nil }
        var last: [Identifier: Bool] = [:]
        for (user, isPresent) in trail.news[place...] { last[user] = isPresent }
        guard !last.isEmpty else { return names }
        names.removeAll { last[$0] == false }
        let known = Set(names)
        let come = last.filter { $0.value && !known.contains($0.key) }.map(\.key)
        return names + come.prefix(max(0, most - names.count))
    }
}
