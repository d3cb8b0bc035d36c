import PortcullisCore
import TestKit
import Testing

@Suite struct RoleTests {
    @Test func standardOrder() {
        let roles = RoleOrder.standard
        let ranks = ["viewer", "commenter", "editor", "owner"].map { roles.role(named: Identifier($0)) }
        #expect(ranks == (0..<4).map { Role(rank: $0) })
        #expect(roles.viewer < roles.editor)
        #expect(roles.role(named: "Viewer") == nil)
        #expect(roles.role(named: "") == nil)
        #expect(roles.name(of: Role(rank: 3)) == "owner")
        #expect(roles.name(of: Role(rank: 99)) == "viewer")
        #expect(RoleOrder(names: roles.names) == roles)
    }

    @Test(arguments: [
        ([], false), (["viewer"], false), (["editor"], false), (["viewer", "editor"], true),
        (["editor", "viewer"], false),
        (["viewer", "editor", "viewer"], false), (["guest", "viewer", "editor", "admin"], true),
        (["viewer", "editor", ""], false), (["viewer", "editor", "a\nb"], false),
        (["viewer", "editor"] + (0..<62).map { "r\($0)" }, true),
        (["viewer", "editor"] + (0..<63).map { "r\($0)" }, false),
    ])
    func configured(_ names: [String], _ valid: Bool) {
        #expect((RoleOrder(names: names.map { Identifier($0) }) != nil) == valid)
    }

    @Test func placesOfConfiguredRoles() throws {
        let roles = try #require(RoleOrder(names: ["guest", "viewer", "writer", "editor"]))
        #expect(roles.viewer == Role(rank: 1))
        #expect(roles.editor == Role(rank: 3))
        #expect(try #require(roles.role(named: "guest")) < roles.viewer)
    }
}

@Suite struct GrantTests {
    @Test(
        arguments: [
            ("1:viewer", 1, 0), ("0:owner", 0, 3), ("2000000000000000:editor", 2_000_000_000_000_000, 2),
            ("12:", 12, nil),
        ] as [(Identifier, Int64, UInt8?)]
    )
    func valid(_ stored: Identifier, _ version: Int64, _ rank: UInt8?) {
        #expect(Grant(stored: stored, roles: .standard) == Grant(version: version, role: rank.map { Role(rank: $0) }))
    }

    @Test(
        arguments: [
            "", ":", ":viewer", "viewer", "1", "1viewer", "-1:viewer", "+1:viewer", " 1:viewer", "1 :viewer",
            "1:Viewer", "1:viewer ",
            "1::viewer", "1:superuser", "1000000000000000000:viewer", "2000000000000001:viewer", "0x1:viewer",
        ] as [Identifier]
    )
    func invalid(_ stored: Identifier) {
        #expect(Grant(stored: stored, roles: .standard) == nil)
    }
}

@Suite struct PermissionBookTests {
    static func grant(_ version: Int64, _ rank: UInt8? = 0) -> Grant {
        Grant(version: version, role: rank.map { Role(rank: $0) })
    }

    @Test func onlyNewerGrantsAreTakenUp() {
        var book = PermissionBook()
        #expect(book.grant("alice", "doc:1") == nil)
        #expect(book.apply("alice", "doc:1", Self.grant(5, 2)) == true)
        #expect(book.apply("alice", "doc:1", Self.grant(4, 3)) == false)
        #expect(book.apply("alice", "doc:1", Self.grant(5, 3)) == false)
        #expect(book.grant("alice", "doc:1") == Self.grant(5, 2))
        // A removal is a grant too and stays, so that an older one does not bring the role back.
        #expect(book.apply("alice", "doc:1", Self.grant(6, nil)) == true)
        #expect(book.apply("alice", "doc:1", Self.grant(5, 2)) == false)
        #expect(book.grants(of: "alice") == ["doc:1": Self.grant(6, nil)])
        #expect(book.grant("alice", "doc:2") == nil)
        #expect(book.grants(of: "bob") == [:])
        book.forget("alice")
        #expect(book.grants(of: "alice") == [:])
        #expect(book.apply("alice", "doc:1", Self.grant(1)) == true)
    }

    /// In whatever order changes arrive, the newest is what is left.
    @Test func anyOrderEndsAlike() {
        var generator = SeededGenerator(seed: 71)
        for _ in 0..<200 {
            let versions = (1...12).map { Int64($0) }.shuffled(using: &generator)
            var book = PermissionBook()
            var newest: Int64 = 0
            for version in versions {
                #expect(book.apply("alice", "doc:1", Self.grant(version)) == (version > newest))
                newest = max(newest, version)
                #expect(book.grant("alice", "doc:1")?.version == newest)
            }
        }
    }

    @Test func theNewerOfTwo() {
        #expect(PermissionBook.newer(nil, nil) == nil)
        #expect(PermissionBook.newer(Self.grant(1), nil) == Self.grant(1))
        #expect(PermissionBook.newer(nil, Self.grant(1)) == Self.grant(1))
        #expect(PermissionBook.newer(Self.grant(1), Self.grant(2, nil)) == Self.grant(2, nil))
        #expect(PermissionBook.newer(Self.grant(3, 1), Self.grant(3, 2)) == Self.grant(3, 1))
    }
}
