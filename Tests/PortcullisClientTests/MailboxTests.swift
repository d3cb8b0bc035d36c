import Testing

@testable import PortcullisClient

@Suite("Mailbox", .timeLimit(.minutes(5)))
struct MailboxTests {
    private func drain(_ mailbox: Mailbox<Int>) async -> [Int] {
        mailbox.finish()
        var values: [Int] = []
        while let value = await mailbox.next() { values.append(value) }
        return values
    }

    @Test("what happens at the bound of numbers")
    func count() async {
        let waiting = Mailbox<Int>(maximumBytes: 100, maximumCount: 3)
        #expect((1...5).map { waiting.add($0) } == [true, true, false, false, false])
        #expect(await drain(waiting) == [1, 2, 3, 4, 5])

        let dropping = Mailbox<Int>(maximumBytes: 100, maximumCount: 3)
        for value in 1...5 { dropping.add(value, overflow: .dropOldest) }
        #expect(await drain(dropping) == [3, 4, 5])

        let replacing = Mailbox<Int>(maximumBytes: 100, maximumCount: 3)
        for value in 1...5 { replacing.add(value, overflow: .replaceAll(0)) }
        #expect(await drain(replacing) == [0, 5])
    }

    @Test("what happens at the bound of bytes, taken and refilled")
    func bytes() async {
        let dropping = Mailbox<Int>(maximumBytes: 10)
        for value in 1...4 { dropping.add(value, size: 5, overflow: .dropOldest) }
        #expect(await dropping.next() == 3)
        dropping.add(5, size: 5, overflow: .dropOldest)
        // One that alone is too large is there all the same.
        dropping.add(6, size: 50, overflow: .dropOldest)
        #expect(await drain(dropping) == [5, 6])
    }

    @Test("whoever adds waits for room: until some is made, the bound is lifted, or it ends")
    func room() async {
        let ends: [@Sendable (Mailbox<Int>) async -> Void] = [
            { _ = await $0.next() }, { $0.liftBound() }, { $0.finish() },
        ]
        for end in ends {
            let full = Mailbox<Int>(maximumBytes: 100, maximumCount: 1)
            #expect(!full.add(1))
            let writer = Task { await full.waitForRoom() }
            await end(full)
            await writer.value
        }
    }

    @Test("a reader gets what comes, nil when it is cancelled, and nil after the end")
    func reader() async {
        let mailbox = Mailbox<Int>(maximumBytes: 1)
        async let value = mailbox.next()
        mailbox.add(7)
        #expect(await value == 7)
        let cancelled = Task { await mailbox.next() }
        cancelled.cancel()
        #expect(await cancelled.value == nil)
        mailbox.add(8)
        mailbox.finish()
        mailbox.add(9)
        #expect(await mailbox.next() == 8)
        #expect(await mailbox.next() == nil)
    }
}
