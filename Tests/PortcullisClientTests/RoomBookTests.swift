import Testing

@testable import PortcullisClient

/// The book as a transcript: events in, actions out.
@Suite("Room book")
struct RoomBookTests {
    private static func ref(_ number: Int) -> RawJSON {
        RawJSON(string: "portcullis-\(number)")
    }

    private static func welcome(_ resource: String? = nil) -> Welcome {
        Welcome(connection: "c", user: "u", resource: resource, role: "editor", permissions: [:])
    }

    private static func joined(_ resource: String, _ ref: RawJSON? = nil, user: String? = nil) -> ServerMessage {
        .joined(Membership(resource: resource, role: "viewer", user: user, ref: ref))
    }

    private static func error(_ code: String, _ ref: RawJSON?) -> ServerMessage {
        .error(MessageError(code: code, ref: ref))
    }

    private static func rejected(_ code: String, _ ref: RawJSON?) -> RoomBook.Answer {
        .failed(.rejected(MessageError(code: code, ref: ref)))
    }

    /// A book with a room that stands, by `ref` 1.
    private static func standing(_ resource: String = "r") -> RoomBook {
        var book = RoomBook(bound: nil)
        _ = book.connected(welcome())
        _ = book.join(resource, call: 1)
        _ = book.received(joined(resource, ref(1)))
        return book
    }

    @Test("a join is asked for once, and all who want it are answered")
    func join() {
        var book = RoomBook(bound: nil)
        #expect(book.join("r", call: 1) == [])
        #expect(book.connected(Self.welcome()) == [.send(.join(resource: "r", ref: Self.ref(1)))])
        #expect(book.join("r", call: 2) == [])
        let own = Membership(resource: "r", role: "viewer", ref: Self.ref(1))
        #expect(
            book.received(.joined(own)) == [
                .deliver(resource: "r", .joined(own)), .resolve(1, .done), .resolve(2, .done),
            ]
        )
        #expect(book.join("r", call: 3) == [.resolve(3, .done)])
        #expect(book.role(on: "r") == "viewer")
    }

    @Test("a refusal goes to the call that asked, with the gate's code, and the room is none")
    func refusal() {
        var book = RoomBook(bound: nil)
        _ = book.connected(Self.welcome())
        _ = book.join("a", call: 1)
        _ = book.join("b", call: 2)
        #expect(
            book.received(Self.error("forbidden", Self.ref(2))) == [
                .resolve(2, Self.rejected("forbidden", Self.ref(2))), .end(resource: "b"),
            ]
        )
        #expect(!book.isOpen("b") && book.isOpen("a"))
        // Asked again it is asked for again.
        #expect(book.join("b", call: 3) == [.send(.join(resource: "b", ref: Self.ref(3)))])
    }

    @Test("answers to what was never asked change nothing")
    func unknown() {
        var book = RoomBook(bound: nil)
        _ = book.connected(Self.welcome())
        _ = book.join("r", call: 1)
        for message in [
            Self.joined("x"), Self.joined("r", Self.ref(9)), Self.joined("r", RawJSON("7")),
            Self.error("forbidden", Self.ref(9)), Self.error("forbidden", nil), Self.error("forbidden", .null),
            .left(Membership(resource: "r")), .left(Membership(resource: "x")), .missed(resource: "x"),
            .message(Relayed(resource: "x")), .permission(PermissionChange(resource: "x")), .binary([1]),
        ] { #expect(book.received(message) == []) }
        #expect(!book.isMember("r"))
        // A gate that echoes no ref is believed by the resource.
        #expect(book.received(Self.joined("r")).last == .resolve(1, .done))
        #expect(book.received(Self.joined("r")) == [])
    }

    @Test("after a loss a room is asked for anew, and told of the gap")
    func again() {
        var book = Self.standing()
        #expect(book.disconnected() == [.deliver(resource: "r", .disconnected)])
        #expect(book.publish(on: "r") == nil)
        // An answer of the old connection.
        #expect(book.received(Self.joined("r", Self.ref(1))) == [])
        #expect(book.connected(Self.welcome()) == [.send(.join(resource: "r", ref: Self.ref(2)))])
        let own = Membership(resource: "r", role: "viewer", ref: Self.ref(2))
        #expect(
            book.received(.joined(own)) == [.deliver(resource: "r", .joined(own)), .deliver(resource: "r", .missed)]
        )
    }

    @Test("what passes is tried again after a wait, what does not ends the room")
    func refusedAgain() {
        var book = Self.standing()
        _ = book.disconnected()
        _ = book.connected(Self.welcome())
        #expect(book.received(Self.error("unavailable", Self.ref(2))) == [.joinLater(resource: "r", attempt: 1)])
        #expect(book.joinDue("r", attempt: 0) == [])
        #expect(book.joinDue("r", attempt: 1) == [.send(.join(resource: "r", ref: Self.ref(3)))])
        #expect(book.joinDue("r", attempt: 1) == [])
        #expect(book.received(Self.error("rate_limited", Self.ref(3))) == [.joinLater(resource: "r", attempt: 2)])
        // The timer of a connection that is gone finds nothing.
        _ = book.disconnected()
        #expect(book.joinDue("r", attempt: 2) == [])
        _ = book.connected(Self.welcome())
        let error = MessageError(code: "forbidden", ref: Self.ref(4))
        #expect(
            book.received(.error(error)) == [.deliver(resource: "r", .refused(error)), .end(resource: "r")]
        )
        #expect(!book.isOpen("r"))
    }

    @Test("leaving waits for its answer; a room that is not there is left already")
    func leave() {
        var book = Self.standing()
        #expect(book.leave("x", call: 9) == [.resolve(9, .done)])
        #expect(book.leave("r", call: 2) == [.send(.leave(resource: "r", ref: Self.ref(2)))])
        // Wanted again before the answer.
        #expect(book.join("r", call: 3) == [])
        let left = Membership(resource: "r", ref: Self.ref(2))
        #expect(
            book.received(.left(left)) == [
                .deliver(resource: "r", .left(left)), .resolve(2, .done), .end(resource: "r"),
                .send(.join(resource: "r", ref: Self.ref(3))),
            ]
        )
    }

    @Test("two who leave are both answered")
    func leftTwice() {
        var book = Self.standing()
        _ = book.leave("r", call: 2)
        let actions = book.leave("r", call: 3)
        #expect(actions.contains(.resolve(2, .done)) && actions.contains(.resolve(3, .done)))
        #expect(book.received(.left(Membership(resource: "r", ref: Self.ref(2)))) == [])
    }

    @Test("a leave that is refused leaves the room standing, unless it says that there was none")
    func leaveRefused() {
        var book = Self.standing()
        _ = book.leave("r", call: 2)
        let error = Self.error("unavailable", Self.ref(2))
        #expect(book.received(error) == [.resolve(2, Self.rejected("unavailable", Self.ref(2)))])
        #expect(book.isMember("r"))
        _ = book.leave("r", call: 3)
        let actions = book.received(Self.error("not_a_member", Self.ref(3)))
        #expect(actions.contains(.resolve(3, .done)) && actions.contains(.end(resource: "r")))
    }

    @Test("a connection that is lost has left for us")
    func leftByLoss() {
        var book = Self.standing()
        _ = book.leave("r", call: 2)
        #expect(book.disconnected() == [.resolve(2, .done), .end(resource: "r")])
        #expect(book.connected(Self.welcome()) == [])
    }

    @Test("the gate ends a membership; others come and go without ending it")
    func left() {
        var book = Self.standing()
        let other = Membership(resource: "r", user: "bob")
        #expect(book.received(.left(other)) == [.deliver(resource: "r", .left(other))])
        #expect(book.received(.joined(other)) == [.deliver(resource: "r", .joined(other))])
        let change = PermissionChange(resource: "r", from: "viewer", to: "editor")
        #expect(book.received(.permission(change)) == [.deliver(resource: "r", .permission(change))])
        #expect(book.role(on: "r") == "editor")
        let own = Membership(resource: "r")
        #expect(book.received(.left(own)) == [.deliver(resource: "r", .left(own)), .end(resource: "r")])
        _ = book.disconnected()
        #expect(book.connected(Self.welcome()) == [])
    }

    @Test("the bound resource stands by the welcome; who has it is told who is there")
    func bound() {
        var book = RoomBook(bound: "b")
        #expect(book.connected(Self.welcome("b")) == [])
        #expect(book.isMember("b"))
        // Nobody has the room: its messages stay the session's.
        #expect(!book.isOpen("b"))
        #expect(book.received(.message(Relayed(resource: "b"))) == [])
        #expect(book.join("b", call: 1) == [.send(.join(resource: "b", ref: Self.ref(1))), .resolve(1, .done)])
        #expect(book.join("b", call: 2) == [.resolve(2, .done)])
        #expect(book.isOpen("b"))
        // A gate that does not tell.
        #expect(book.received(Self.joined("b", Self.ref(1))) == [])
        #expect(book.members(of: "b") == nil)
        #expect(book.disconnected() == [.deliver(resource: "b", .disconnected)])
        let own = Membership(resource: "b", role: "editor")
        #expect(
            book.connected(Self.welcome("b")) == [
                .deliver(resource: "b", .joined(own)), .deliver(resource: "b", .missed),
                .send(.join(resource: "b", ref: Self.ref(2))),
            ]
        )
        let list = Membership(resource: "b", role: "owner", members: RawJSON(#"["u","v"]"#), ref: Self.ref(2))
        #expect(book.received(.joined(list)) == [.deliver(resource: "b", .joined(list))])
        #expect(book.members(of: "b") == ["u", "v"] && book.role(on: "b") == "owner")
    }

    @Test("who is there: the list of the gate, and what it tells since")
    func members() {
        var book = RoomBook(bound: nil)
        _ = book.connected(Self.welcome())
        _ = book.join("r", call: 1)
        let list = Membership(
            resource: "r",
            members: RawJSON(#"["u",{"user":"v","role":"viewer"},7]"#),
            ref: Self.ref(1)
        )
        _ = book.received(.joined(list))
        #expect(book.members(of: "r") == ["u", "v"])
        for user in ["w", "v"] { _ = book.received(Self.joined("r", user: user)) }
        #expect(book.members(of: "r") == ["u", "v", "w"])
        for user in ["v", "x"] { _ = book.received(.left(Membership(resource: "r", user: user))) }
        #expect(book.members(of: "r") == ["u", "w"])
        // Some may have come or gone unheard: it is asked again, and only the answer to that counts.
        #expect(
            book.received(.missed(resource: "r")) == [
                .deliver(resource: "r", .missed), .send(.join(resource: "r", ref: Self.ref(2))),
            ]
        )
        #expect(book.received(Self.joined("r", Self.ref(9))) == [])
        #expect(book.members(of: "r") == ["u", "w"])
        // The gate can't say at the moment.
        #expect(book.received(Self.joined("r", Self.ref(2))) == [])
        #expect(book.members(of: "r") == nil)
        #expect(
            book.received(Self.joined("r", user: "w")) == [
                .deliver(resource: "r", .joined(Membership(resource: "r", role: "viewer", user: "w")))
            ]
        )
        #expect(book.members(of: "r") == nil)
        // Where it was never said nobody asks.
        #expect(book.received(.missed(resource: "r")) == [.deliver(resource: "r", .missed)])
        _ = book.disconnected()
        #expect(book.members(of: "r") == nil)
    }

    @Test("a call that is given up is forgotten, and what it asked for given back")
    func abandoned() {
        var book = RoomBook(bound: "b")
        _ = book.join("b", call: 1)
        #expect(book.abandon(1) == [])
        _ = book.connected(Self.welcome())
        _ = book.join("r", call: 2)
        _ = book.join("r", call: 3)
        #expect(book.abandon(2) == [])
        #expect(book.abandon(3) == [.send(.leave(resource: "r")), .end(resource: "r")])
        #expect(book.received(Self.joined("r", Self.ref(1))) == [])
        #expect(!book.isMember("r"))
        #expect(book.abandon(9) == [])
    }

    @Test("an error of a publish finds its room, of the newest publishes at least")
    func publish() throws {
        var book = Self.standing()
        #expect(book.publish(on: "x") == nil)
        let firstRef = book.publish(on: "r")
        let first = try #require(firstRef)
        let error = MessageError(code: "forbidden", ref: first)
        #expect(book.received(.error(error)) == [.deliver(resource: "r", .refused(error))])
        #expect(book.received(.error(error)) == [])
        let oldRef = book.publish(on: "r")
        let old = try #require(oldRef)
        for _ in 0..<2 * RoomBook.maximumPublishes { _ = book.publish(on: "r") }
        #expect(book.received(Self.error("forbidden", old)) == [])
        let newRef = book.publish(on: "r")
        let new = try #require(newRef)
        #expect(book.received(Self.error("forbidden", new)).count == 1)
    }

    @Test("the end answers everybody")
    func end() {
        var book = Self.standing()
        _ = book.join("other", call: 2)
        let actions = book.closed()
        #expect(actions.contains(.resolve(2, .failed(.closed))))
        #expect(actions.contains(.end(resource: "r")) && actions.contains(.end(resource: "other")))
    }
}

@Suite("Refresh")
struct RefreshMachineTests {
    private static let expiring = CredentialRequest.expiring(inSeconds: 30)
    private static let demand = CredentialRequest.reauthenticate(deadlineSeconds: 10, reason: "x")

    @Test("asked, sent, refreshed: and the next connection has the new credential")
    func success() {
        var machine = RefreshMachine()
        #expect(machine.expiring(inSeconds: 30) == .ask(Self.expiring, connection: 0))
        #expect(machine.expiring(inSeconds: 20) == .none)
        #expect(machine.refreshed() == [])
        #expect(machine.answered(.credential(.token("new")), connection: 0) == [.send("new")])
        #expect(machine.expiring(inSeconds: 10) == .none)
        #expect(machine.answered(.credential(.token("newer")), connection: 0) == [])
        #expect(machine.refreshed() == [.keep(.token("new"))])
        #expect(machine.refreshed() == [])
        #expect(machine.expiring(inSeconds: 30) == .ask(Self.expiring, connection: 0))
    }

    @Test("what is demanded during a refresh is asked for after it")
    func queued() {
        var machine = RefreshMachine()
        _ = machine.expiring(inSeconds: 30)
        #expect(machine.reauthenticate(deadlineSeconds: 10, reason: "x") == .none)
        #expect(machine.answered(.credential(.token("a")), connection: 0) == [.send("a")])
        #expect(machine.refreshed() == [.keep(.token("a")), .ask(Self.demand, connection: 0)])
        #expect(machine.answered(.credential(.subprotocolToken("b")), connection: 0) == [.send("b")])
        #expect(machine.refreshed() == [.keep(.subprotocolToken("b"))])
    }

    @Test("failures are told, and the next wish is asked for again")
    func failures() {
        var machine = RefreshMachine()
        let none = GateFailure(.noCredential, "x")
        _ = machine.expiring(inSeconds: 30)
        #expect(machine.answered(.failed(none), connection: 0) == [.fail(none)])
        _ = machine.expiring(inSeconds: 30)
        #expect(machine.answered(.credential(.ticket("t")), connection: 0).count == 1)
        _ = machine.expiring(inSeconds: 30)
        _ = machine.answered(.credential(.token("t")), connection: 0)
        let error = MessageError(code: "unavailable")
        #expect(machine.rejected(error) == [.fail(.rejected(error))])
        #expect(machine.rejected(error) == [])
        #expect(
            machine.reauthenticate(deadlineSeconds: 10, reason: "x") == .ask(Self.demand, connection: 0)
        )
    }

    @Test("an answer for a connection that is gone is none")
    func late() {
        var machine = RefreshMachine()
        _ = machine.expiring(inSeconds: 30)
        _ = machine.reauthenticate(deadlineSeconds: 10, reason: "x")
        machine.ended()
        #expect(machine.answered(.credential(.token("t")), connection: 0) == [])
        #expect(machine.expiring(inSeconds: 30) == .ask(Self.expiring, connection: 1))
        #expect(machine.answered(.credential(.token("t")), connection: 0) == [])
        #expect(machine.answered(.credential(.token("t")), connection: 1) == [.send("t")])
    }
}
