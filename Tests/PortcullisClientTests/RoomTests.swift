import PortcullisClient
import Testing

@Suite("Rooms", .timeLimit(.minutes(5)))
struct RoomTests {
    private func session(_ url: GateURL, timeout: Duration = .seconds(60), buffer: Int = 1 << 20) -> GateSession {
        var rooms = GateSession.Rooms()
        rooms.answerTimeout = timeout
        rooms.buffer = buffer
        return GateSession(url: url, credential: .token("t"), policy: .quick, rooms: rooms)
    }

    @Test("join, hear, publish, leave")
    func life() async throws {
        let published = AsyncStream.makeStream(of: [String: RawJSON].self)
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.admit()
            try await peer.send(#"{"type":"message","resource":"doc:1","user":"bob","connection":"d","data":{"a":1}}"#)
            try await peer.send(#"{"type":"joined","resource":"doc:1","user":"eve"}"#)
            try await peer.send(#"{"type":"permission","resource":"doc:1","from":"editor","to":"viewer","version":2}"#)
            try await peer.send(#"{"type":"missed","resource":"doc:1"}"#)
            let publish = try await peer.expect("publish")
            published.continuation.yield(publish)
            let ref = publish["ref"]?.text ?? ""
            try await peer.send(#"{"type":"error","code":"forbidden","detail":"viewers only read","ref":\#(ref)}"#)
            let leave = try await peer.expect("leave")
            try await peer.send(#"{"type":"left","resource":"doc:1","ref":\#(leave["ref"]?.text ?? "")}"#)
            try await peer.goodbye()
        } _: { url in
            let session = session(url)
            let room = try await session.join("doc:1")
            var events = room.makeAsyncIterator()
            guard case .joined(let own) = await events.next() else {
                throw Script.Unexpected("not joined")
            }
            #expect(own.role == "editor" && own.user == nil)
            guard case .message(let message) = await events.next() else {
                throw Script.Unexpected("no message")
            }
            #expect(message.user == "bob" && message.data == RawJSON(#"{"a":1}"#))
            guard case .joined(let other) = await events.next() else {
                throw Script.Unexpected("nobody joined")
            }
            #expect(other.user == "eve")
            guard case .permission(let change) = await events.next() else {
                throw Script.Unexpected("no permission")
            }
            #expect(change.to == "viewer" && room.role == "viewer")
            #expect(await events.next() == .missed)
            let ref = try await room.publish(try #require(RawJSON("[1]")))
            guard case .refused(let error) = await events.next() else {
                throw Script.Unexpected("not refused")
            }
            #expect(error.code == "forbidden" && error.ref == ref)
            var sent = published.stream.makeAsyncIterator()
            let members = await sent.next()
            #expect(members?["data"]?.text == "[1]" && members?["ref"] == ref)
            try await room.leave()
            guard case .left = await events.next() else {
                throw Script.Unexpected("not left")
            }
            #expect(await events.next() == nil)
            await #expect(throws: GateFailure.self) { try await room.publish(.null) }
            // Left twice is left.
            try await room.leave()
            session.close()
        }
    }

    @Test("a refused join throws the gate's code, and the connection lives on")
    func refused() async throws {
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            let first = try await peer.expect("join")
            try await peer.send(#"{"type":"error","code":"nonsense","ref":"portcullis-999"}"#)
            try await peer.send(
                #"{"type":"error","code":"unavailable","detail":"d","ref":\#(first["ref"]?.text ?? "")}"#
            )
            try await peer.admit()
            try await peer.goodbye()
        } _: { url in
            let session = session(url)
            let error = await #expect(throws: GateFailure.self) { _ = try await session.join("doc:1") }
            #expect(error?.kind == .rejected && error?.error?.code == "unavailable" && error?.error?.detail == "d")
            let room = try await session.join("doc:1")
            #expect(room.role == "editor")
            session.close()
        }
    }

    @Test("a room is joined anew after a loss, and told of the gap")
    func again() async throws {
        let script = Script.each(
            { peer in
                try await peer.welcome()
                try await peer.admit(role: "viewer")
            },
            { peer in
                _ = try await peer.request()
                try await peer.write("HTTP/1.1 503 Full\r\nContent-Length: 0\r\n\r\n")
            },
            { peer in
                try await peer.welcome()
                let join = try await peer.expect("join")
                // For a moment only.
                try await peer.send(#"{"type":"error","code":"unavailable","ref":\#(join["ref"]?.text ?? "")}"#)
                try await peer.admit()
                try await peer.send(#"{"type":"message","resource":"r","data":1}"#)
                try await peer.goodbye()
            }
        )
        try await ScriptedServer.run(script) { url in
            let session = session(url)
            let room = try await session.join("r")
            var words: [String] = []
            for await event in room {
                switch event {
                case .joined(let membership): words.append("joined \(membership.role ?? "")")
                case .disconnected: words.append("disconnected")
                case .missed: words.append("missed")
                case .message:
                    words.append("message")
                    session.close()
                default: words.append("?")
                }
            }
            #expect(
                words == ["joined viewer", "disconnected", "joined editor", "missed", "message", "disconnected"]
            )
            let error = await #expect(throws: GateFailure.self) { _ = try await session.join("r") }
            #expect(error?.kind == .closed)
        }
    }

    @Test("a room that the gate lets nobody into again ends with the reason")
    func notAgain() async throws {
        let script = Script.each(
            { peer in
                try await peer.welcome()
                try await peer.admit()
            },
            { peer in
                try await peer.welcome()
                let join = try await peer.expect("join")
                try await peer.send(#"{"type":"error","code":"forbidden","ref":\#(join["ref"]?.text ?? "")}"#)
                try await peer.goodbye()
            }
        )
        try await ScriptedServer.run(script) { url in
            let session = session(url)
            var last: Room.Event?
            for await event in try await session.join("r") { last = event }
            guard case .refused(let error) = last else {
                throw Script.Unexpected("ended by \(String(describing: last))")
            }
            #expect(error.code == "forbidden")
            session.close()
        }
    }

    @Test("a gate that never answers a join is waited for no longer than was said")
    func silence() async throws {
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.expect("join")
            // What was asked for is given back.
            try await peer.expect("leave")
            try await peer.goodbye()
        } _: { url in
            let session = session(url, timeout: .milliseconds(100))
            let error = await #expect(throws: GateFailure.self) { _ = try await session.join("r") }
            #expect(error?.kind == .timedOut)
            session.close()
            for await _ in session {}
        }
    }

    @Test("a cancelled join is cancelled, and close answers those that wait")
    func interrupted() async throws {
        let asked = AsyncStream.makeStream(of: Void.self)
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.expect("join")
            asked.continuation.yield()
            try await peer.expect("join")
            asked.continuation.yield()
            try await peer.goodbye()
        } _: { url in
            let session = session(url)
            var joins = asked.stream.makeAsyncIterator()
            let cancelled = Task { try await session.join("a") }
            _ = await joins.next()
            cancelled.cancel()
            let first = await cancelled.result
            #expect { _ = try first.get() } throws: { ($0 as? GateFailure)?.kind == .cancelled }
            let closed = Task { try await session.join("b") }
            _ = await joins.next()
            session.close()
            let second = await closed.result
            #expect { _ = try second.get() } throws: { ($0 as? GateFailure)?.kind == .closed }
        }
    }

    @Test(
        "the bound resource is a room without being asked for; unless somebody has it, its messages are the session's"
    )
    func bound() async throws {
        try await ScriptedServer.run { peer in
            try await peer.accept()
            try await peer.send(
                #"{"type":"welcome","connection":"c","user":"u","permissions":{},"resource":"doc:7","role":"editor"}"#
            )
            try await peer.send(#"{"type":"message","resource":"doc:7","data":1}"#)
            let publish = try await peer.expect("publish")
            try await peer.send(#"{"type":"message","resource":"doc:7","data":\#(publish["data"]?.text ?? "")}"#)
            try await peer.goodbye()
        } _: { url in
            let session = session(try url.bound(to: "doc:7"))
            for await event in session {
                guard case .message(let received) = event, case .message(let message) = received.message else {
                    continue
                }
                #expect(message.data == RawJSON("1"))
                break
            }
            let room = try await session.join("doc:7")
            #expect(room.role == "editor")
            try await room.publish(try #require(RawJSON("2")))
            for await event in room {
                guard case .message(let message) = event else { continue }
                #expect(message.data == RawJSON("2"))
                break
            }
            session.close()
        }
    }

    @Test("a room that nobody reads drops what it holds, says so, and holds up nothing")
    func flood() async throws {
        let payload = String(repeating: "x", count: 1000)
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.admit()
            for _ in 0..<500 { try await peer.send(#"{"type":"message","resource":"r","data":"\#(payload)"}"#) }
            try await peer.send(#"{"type":"notice","data":"after"}"#)
            try await peer.expect("publish")
            try await peer.send(#"{"type":"message","resource":"r","data":"last"}"#)
            try await peer.goodbye()
        } _: { url in
            let session = session(url, buffer: 64 << 10)
            let room = try await session.join("r")
            for await event in session {
                if case .message(let received) = event, case .notice = received.message { break }
            }
            try await room.publish(.null)
            var (messages, missed) = (0, 0)
            for await event in room {
                if event == .missed { missed += 1 }
                if case .message(let message) = event {
                    messages += 1
                    if message.data?.string == "last" { break }
                }
            }
            #expect(missed == 1)
            #expect(messages < 64)
            session.close()
        }
    }

    @Test("while nobody iterates, the newest events are kept")
    func newestEvents() async throws {
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.admit()
            for index in 0..<3000 { try await peer.send(#"{"type":"notice","data":\#(index)}"#) }
            try await peer.send(#"{"type":"missed","resource":"r"}"#)
            try await peer.goodbye()
        } _: { url in
            let session = session(url)
            for await event in try await session.join("r") where event == .missed { break }
            var notices: [Int] = []
            for await event in session {
                if case .message(let received) = event, case .notice(let data) = received.message {
                    notices.append(data.integer ?? -1)
                }
                if notices.last == 2999 { break }
            }
            #expect(notices == Array(1976..<3000))
            session.close()
        }
    }

    @Test("a loop over the events that was left holds up no room")
    func leftLoop() async throws {
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.admit()
            for _ in 0..<3000 { try await peer.send(#"{"type":"notice","data":1}"#) }
            try await peer.send(#"{"type":"message","resource":"r","data":1}"#)
            try await peer.goodbye()
        } _: { url in
            let session = session(url)
            for await event in session {
                if case .connected = event { break }
            }
            for await event in try await session.join("r") {
                if case .message = event { break }
            }
            session.close()
        }
    }

    @Test("there are no rooms on a raw connection, and none without a name")
    func invalid() async throws {
        let url = try GateURL("ws://127.0.0.1:1/ws")
        let raw = GateSession(url: url, credential: .none, options: .raw)
        for (session, name) in [(raw, "r"), (session(url), ""), (session(url), String(repeating: "x", count: 256))] {
            let error = await #expect(throws: GateFailure.self) { _ = try await session.join(name) }
            #expect(error?.kind == .invalid)
        }
    }

    @Test("a session and rooms that nobody holds any more say goodbye")
    func released() async throws {
        let gone = AsyncStream.makeStream(of: Void.self)
        try await ScriptedServer.run { peer in
            try await peer.welcome()
            try await peer.admit()
            try await peer.goodbye()
            gone.continuation.finish()
        } _: { url in
            _ = try await session(url).join("r")
            for await _ in gone.stream {}
        }
    }
}
