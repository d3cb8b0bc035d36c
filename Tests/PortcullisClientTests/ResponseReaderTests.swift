import NIOCore
import NIOHTTP1
import Testing

@testable import PortcullisClient

@Suite("The answer to a handshake, in any split")
struct ResponseReaderTests {
    /// What came of the bytes, handed in by pieces of a size, with the end behind them.
    private func outcome(_ text: String, pieces size: Int) -> String {
        var reader = ResponseReader()
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let step = reader.bytesReceived(ByteBuffer(bytes: rest.prefix(size)))
            rest = rest.dropFirst(size)
            switch step {
            case .more: continue
            case .switched(let headers, let behind):
                let here = String(buffer: behind) + String(decoding: rest, as: UTF8.self)
                return "101 \(headers["A"].joined(separator: "|")) \(here)"
            case .refused(let refusal): return "\(refusal.status) \(refusal.code ?? "-")"
            case .malformed: return "malformed"
            }
        }
        switch reader.ended() {
        case .refused(let refusal): return "end \(refusal.status) \(refusal.code ?? "-")"
        default: return "end"
        }
    }

    private static let problem = "Content-Type: application/problem+json; charset=utf-8\r\n"

    static let answers: [(String, String)] = [
        ("HTTP/1.1 101 Switching Protocols\r\nA: b \r\na:\tc\r\n\r\nrest", "101 b|c rest"),
        ("HTTP/1.1 101\r\nA:\r\n\r\n", "101  "),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nL: x\r\n\r\nHTTP/1.1 101 S\r\nA: b\r\n\r\n\u{1}",
            "101 b \u{1}"
        ),
        ("HTTP/1.1 401 No\r\n\(problem)Content-Length: 14\r\n\r\n{\"code\":\"abc\"}GET", "401 abc"),
        ("HTTP/1.0 401 No\r\n\(problem)\r\n{\"code\":\"abc\"}", "end 401 abc"),
        ("HTTP/1.1 401 No\r\n\(problem)Content-Length: 99\r\n\r\n{\"code\":\"abc\"}", "end 401 abc"),
        ("HTTP/1.1 401 No\r\n\(problem)Content-Length: 99\r\n\r\n{\"code\":", "end 401 -"),
        ("HTTP/1.1 401 No\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\n{\"code\":\"abc\"}", "401 -"),
        (
            "HTTP/1.1 503 No\r\n\(problem)Transfer-Encoding: chunked\r\n\r\n"
                + "5;x=y\r\n{\"cod\r\n9\r\ne\":\"abc\"}\r\n0\r\n\r\n", "503 abc"
        ),
        ("HTTP/1.1 503 No\r\n\(problem)Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n{", "end 503 -"),
        ("HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "503 -"),
        ("HTTP/1.1 204 No\r\n\r\n", "204 -"), ("HTTP/1.1 400 No\r\nContent-Length: -1\r\n\r\n", "end 400 -"),
        ("HTTP/1.1 400 No\r\nContent-Length: 99999999999999999999\r\n\r\n", "end 400 -"),
        ("", "end"), ("HTTP/1.1 101 S\r\nA: b\r\n", "end"), ("SSH-2.0-x\r\n", "malformed"),
        ("HTTP/2 200\r\n\r\n", "malformed"), ("HTTP/1.1 20 x\r\n\r\n", "malformed"),
        ("HTTP/1.1 +20 x\r\n\r\n", "malformed"), ("HTTP/1.1 101 S\r\nA b\r\n\r\n", "malformed"),
        ("HTTP/1.1 101 S\r\n: b\r\n\r\n", "malformed"), ("HTTP/1.1 101 S\r\nA : b\r\n\r\n", "malformed"),
        ("HTTP/1.1 101 S\r\nA: b\r\n folded\r\n\r\n", "malformed"), ("\r\n\r\n", "malformed"),
        ("HTTP/1.1 200 OK\r\nA: \(String(repeating: "x", count: 17_000))\r\n\r\n", "malformed"),
    ]

    @Test("an answer", arguments: answers)
    func split(answer: String, expected: String) {
        for size in [1, 2, 3, 5, 7, 16, 64, 1000, .max] where size > 16 || answer.utf8.count < 1000 {
            #expect(outcome(answer, pieces: size) == expected, "in pieces of \(size)")
        }
    }
}

@Suite("The queue between loop and task")
struct InboundQueueTests {
    private func received(_ count: Int) -> Received {
        Received(.binary(Array(repeating: 0, count: count)), subprotocol: .raw, arrival: .now)
    }

    @Test("it is full at its bound, and has room again at half of it")
    func bound() async {
        await confirmation(expectedCount: 1) { room in
            let queue = InboundQueue(maximumBytes: 100, maximumMessages: 4) { room() }
            #expect(queue.add(received(30)))
            #expect(queue.add(received(30)))
            #expect(!queue.add(received(40)))
            _ = await queue.next()
            _ = await queue.next()
            _ = await queue.next()
            for _ in 0..<3 { #expect(queue.add(received(0))) }
        }
        let queue = InboundQueue(maximumBytes: 100, maximumMessages: 2) {}
        #expect(queue.add(received(0)))
        #expect(!queue.add(received(0)))
    }

    @Test("what comes while a full queue is being emptied does not make it forget that the loop waits")
    func fullUntilHalf() async {
        await confirmation(expectedCount: 1) { room in
            let queue = InboundQueue(maximumBytes: 100) { room() }
            #expect(queue.add(received(30)))
            #expect(!queue.add(received(70)))
            _ = await queue.next()
            // The rest of what the loop had read before it stopped.
            #expect(!queue.add(received(10)))
            _ = await queue.next()
            #expect(queue.add(received(10)))
        }
    }

    @Test("what was there before the end can be taken after it, and only the first end counts")
    func end() async {
        let queue = InboundQueue(maximumBytes: 100) {}
        _ = queue.add(received(1))
        queue.finish(Closed(.gate, code: 1001))
        queue.finish(Closed(.gate, code: 1002))
        _ = queue.add(received(2))
        #expect(await queue.next()?.payload == .binary([0]))
        #expect(await queue.next() == nil)
        #expect(await queue.end()?.code == 1001)
        #expect(queue.closed?.code == 1001)
    }

    @Test("thousands of messages keep their order")
    func order() async {
        let queue = InboundQueue(maximumBytes: 1 << 20, maximumMessages: 10_000) {}
        for index in 0..<5000 {
            _ = queue.add(Received(.text("\(index)"), subprotocol: .raw, arrival: .now))
        }
        for index in 0..<5000 { #expect(await queue.next()?.payload == .text("\(index)")) }
    }
}
