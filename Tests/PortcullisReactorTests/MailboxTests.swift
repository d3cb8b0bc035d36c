import PortcullisReactor
import Synchronization
import Testing

@Suite struct MailboxTests {
    @Test func inOrder() throws {
        let mailbox = try Mailbox<Int>()
        var batch: [Int?] = []
        mailbox.drain(into: &batch)
        #expect(batch == [])
        for number in 0..<3000 { mailbox.post(number) }
        mailbox.drain(into: &batch)
        #expect(batch == Array(0..<3000))
        mailbox.drain(into: &batch)
        #expect(batch.count == 3000)
        mailbox.post(7)
        mailbox.drain(into: &batch)
        #expect(batch.last == 7)
    }

    /// Many threads post at once: nothing is lost, and each one's messages keep their order.
    @Test func fromManyThreads() throws {
        let mailbox = try Mailbox<(thread: Int, number: Int)>()
        let threads = try (0..<4).map { thread in
            try LoopThread("poster \(thread)") {
                for number in 0..<5000 { mailbox.post((thread, number)) }
            }
        }
        var next = [0, 0, 0, 0]
        var batch: [(thread: Int, number: Int)?] = []
        while next.reduce(0, +) < 20_000 {
            mailbox.drain(into: &batch)
            for case let message? in batch {
                #expect(message.number == next[message.thread])
                next[message.thread] += 1
            }
            batch.removeAll()
        }
        for thread in threads { thread.join() }
        mailbox.drain(into: &batch)
        #expect(batch.isEmpty)
    }

    /// Who posts and then looks finds what it has posted, and all that was posted before, whoever else posts meanwhile.
    @Test func whatIsPostedIsThere() throws {
        let mailbox = try Mailbox<Int>()
        let hasEnded = Atomic(false)
        let others = try (0..<2).map { _ in
            try LoopThread("poster") {
                while !hasEnded.load(ordering: .relaxed) { mailbox.post(-1) }
            }
        }
        var batch: [Int?] = []
        var missed = 0
        for number in 0..<100_000 {
            mailbox.post(number)
            mailbox.drain(into: &batch)
            if batch.last(where: { $0 != -1 }) != number { missed += 1 }
            batch.removeAll(keepingCapacity: true)
        }
        hasEnded.store(true, ordering: .relaxed)
        for thread in others { thread.join() }
        #expect(missed == 0)
    }

    /// An engine that waits for ever wakes for every letter.
    @Test func wakes() async throws {
        let engine = try EngineUnderTest { _, _, _, _ in }
        for number in 0..<200 { #expect(await engine.run { _ in number } == number) }
        engine.stop()
    }
}
