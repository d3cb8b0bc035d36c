import PortcullisCore
import Testing

@testable import PortcullisGate

@Suite struct HeldMessagesTests {
    private let roles = RoleOrder.standard

    /// Told at the thaw: where a permission stands now, and where it stood before the freeze.
    @Test func permissionsAreCoalesced() {
        let (viewer, editor) = (roles.viewer, roles.editor)
        var held = HeldMessages()
        held.change("doc:1", from: editor, to: nil, version: 2, reason: "first")
        held.change("doc:1", from: nil, to: viewer, version: 3, reason: nil)
        held.change("doc:2", from: nil, to: editor, version: 1, reason: nil)
        #expect(held.permissions.count == 2)
        let change = held.permissions["doc:1"]
        #expect(change?.from == editor)
        #expect(change?.to == viewer)
        #expect(change?.version == 3)
        #expect(change?.reason == nil)
        // One that came from nothing and went back to it is told nobody.
        held.change("doc:2", from: editor, to: nil, version: 2, reason: nil)
        #expect(held.permissions["doc:2"].map { $0.from == $0.to } == true)
    }

    /// However many change, and however often: beyond a number of resources it is only known that it is too much.
    @Test func permissionsAreBounded() {
        var held = HeldMessages()
        for version in Int64(1)...1000 {
            held.change("doc:1", from: nil, to: roles.viewer, version: version, reason: nil)
        }
        #expect(held.permissions.count == 1 && held.permissions["doc:1"]?.version == 1000)
        for number in 2...256 { held.change(Identifier("doc:\(number)"), from: nil, to: nil, version: 1, reason: nil) }
        #expect(held.permissions.count == 256 && !held.isOverfull)
        held.change("doc:256", from: nil, to: roles.editor, version: 2, reason: nil)
        #expect(!held.isOverfull)
        held.change("doc:257", from: nil, to: nil, version: 1, reason: nil)
        held.change("doc:258", from: nil, to: nil, version: 1, reason: nil)
        #expect(held.isOverfull && held.permissions.isEmpty)
    }

    @Test func theOthersAreBounded() {
        var held = HeldMessages()
        for number in UInt8(0)..<100 { held.append([number]) }
        #expect(held.others.count == 64)
        #expect(held.others.first == [36])
        #expect(held.others.last == [99])
    }
}
