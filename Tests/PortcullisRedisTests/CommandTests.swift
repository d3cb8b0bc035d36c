import PortcullisRedis
import TestKit
import Testing

func encoded(_ command: Command) -> [UInt8] {
    var output: [UInt8] = []
    command.encode(into: &output)
    return output
}

@Suite struct CommandTests {
    @Test func words() {
        #expect(encoded(Command("PING")) == Array("*1\r\n$4\r\nPING\r\n".utf8))
        #expect(encoded(Command("SET", "k", "a b")) == Array("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na b\r\n".utf8))
    }

    @Test func emptyWords() {
        #expect(encoded(Command([[], []])) == Array("*2\r\n$0\r\n\r\n$0\r\n\r\n".utf8))
        #expect(encoded(Command("SET", "k", "")) == Array("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n".utf8))
        #expect(
            encoded(Command([Array("X".utf8), [], [0x61]])) == Array("*3\r\n$1\r\nX\r\n$0\r\n\r\n$1\r\na\r\n".utf8)
        )
    }

    /// Any bytes pass: nothing ends a word early, and no line break in one becomes another command.
    @Test func binaryWords() {
        let all = (0...255).map { UInt8($0) }
        let expected = Array("*2\r\n$3\r\nGET\r\n$256\r\n".utf8) + all + Array("\r\n".utf8)
        #expect(encoded(Command([Array("GET".utf8), all])) == expected)
        #expect(
            encoded(Command("GET", "k\r\nFLUSHALL\r\n"))
                == Array("*2\r\n$3\r\nGET\r\n$13\r\nk\r\nFLUSHALL\r\n\r\n".utf8)
        )
    }

    @Test func isAppended() {
        var output = Array("x".utf8)
        Command("A").encode(into: &output)
        Command("B").encode(into: &output)
        #expect(output == Array("x*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n".utf8))
    }

    /// Both commands of a read, and the key's parts as one word.
    @Test(arguments: [false, true])
    func aSessionIsRead(isHash: Bool) {
        let key = (before: Array("session:".utf8), id: Array("s1".utf8), after: Array("}".utf8))
        var output: [UInt8] = []
        SessionReading(isHash: isHash).encode(key, into: &output)
        let read = Scripts.readSession(key: Array("session:s1}".utf8), isHash: isHash)
        #expect(output == encoded(Command("CLIENT", "CACHING", "YES")) + encoded(read))
        #expect(String(decoding: output, as: UTF8.self).contains(isHash ? "'HGETALL'" : "'GET'"))
    }

    @Test func manyWords() {
        for count in [9, 10, 11, 99, 100, 101, 1000] {
            let text = "*\(count)\r\n" + String(repeating: "$1\r\na\r\n", count: count)
            #expect(encoded(Command(Array(repeating: Array("a".utf8), count: count))) == Array(text.utf8))
        }
    }

    /// A command is an array of bulk strings: the reader reads it back.
    @Test func isReadBack() throws {
        var generator = SeededGenerator(seed: 91)
        let reader = try #require(RESPReader())
        for _ in 0..<300 {
            let words = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                (0..<Int.random(in: 0...40, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator)
                }
            }
            try reader.feed(encoded(Command(words)).span)
            #expect(try reader.next() == .array(words.map { .bytes($0) }))
        }
    }
}

@Suite struct PendingCommandsTests {
    @Test func answersInOrder() {
        var pending = PendingCommands<String>()
        #expect(pending.answered() == nil)
        pending.append(Command("A"), "a")
        pending.append(Command("B"), "b")
        #expect(pending.count == 2)
        #expect(pending.takeOutput() == Array("*1\r\n$1\r\nA\r\n*1\r\n$1\r\nB\r\n".utf8))
        #expect(pending.takeOutput() == [])
        #expect(pending.answered() == "a")
        pending.append(Command("C"), "c")
        #expect(pending.answered() == "b")
        #expect(pending.answered() == "c")
        #expect(pending.answered() == nil)
        #expect(pending.count == 0)
    }

    @Test func abandoned() {
        var pending = PendingCommands<Int>()
        for number in 0..<5 { pending.append(Command("X"), number) }
        #expect(pending.answered() == 0)
        #expect(pending.abandon() == [1, 2, 3, 4])
        #expect(pending.count == 0)
        // What was not sent yet is not sent on the next link.
        #expect(pending.takeOutput() == [])
        #expect(pending.abandon() == [])
        pending.append(Command("Y"), 9)
        #expect(pending.answered() == 9)
    }

    /// Never empty for long: what has been answered is let go all the same.
    @Test func longQueues() {
        var pending = PendingCommands<Int>()
        var next = 0
        for round in 0..<20_000 {
            pending.append(Command("X"), round)
            if round >= 50 {
                #expect(pending.answered() == next)
                next += 1
            }
            if round % 1000 == 0 { #expect(!pending.takeOutput().isEmpty) }
        }
        #expect(pending.count == 50)
        #expect(pending.abandon() == Array(next..<20_000))
    }
}

@Suite struct PushTests {
    static func bytes(_ text: String) -> RESPValue {
        .bytes(Array(text.utf8))
    }

    @Test func understood() {
        let c = Array("c".utf8)
        let table: [(RESPValue, Push)] = [
            (.status(Array("PONG".utf8)), .pong), (.array([Self.bytes("pong"), Self.bytes("")]), .pong),
            (.array([Self.bytes("subscribe"), .bytes(c), .integer(1)]), .subscribed(channel: c)),
            (.array([Self.bytes("unsubscribe"), .bytes(c), .integer(0)]), .unsubscribed(channel: c)),
            (.array([Self.bytes("unsubscribe"), .null, .integer(0)]), .unsubscribed(channel: [])),
            (.array([Self.bytes("message"), .bytes(c), .bytes([0, 255])]), .message(channel: c, payload: [0, 255])),
            (.array([Self.bytes("message"), .bytes(c), .bytes([])]), .message(channel: c, payload: [])),
            (.array([Self.bytes("message"), .bytes(c), .array([.bytes(c), .bytes([1])])]), .invalidated([c, [1]])),
            (.array([Self.bytes("message"), .bytes(c), .null]), .invalidated(nil)),
        ]
        for (value, push) in table { #expect(Push(value) == push) }
    }

    @Test func outOfStep() {
        for value: RESPValue in [
            .null, .integer(1), .bytes([]), .error("ERR"), .status(Array("OK".utf8)), .array([]), .array([.null]),
            .array([Self.bytes("message")]), .array([Self.bytes("message"), Self.bytes("c"), .integer(1)]),
            .array([Self.bytes("message"), .null, Self.bytes("x")]),
            .array([Self.bytes("subscribe"), .null, .integer(1)]),
            .array([Self.bytes("pmessage"), Self.bytes("p"), Self.bytes("c"), Self.bytes("x")]),
        ] {
            #expect(Push(value) == nil)
        }
    }
}
