/* Preloaded into a process on x86-64 Linux, it hides from it what CPUs of before 2019 lack: VNNI, AMX and AVX-512.
 *
 * The kernel lets CPUID fault; each CPUID is then run here, and its answer handed on without these bits. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))
#define UNAVAILABLE 77 /* what the test takes for a reason to skip */

static long allow(int cpuid) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, cpuid); }

static void answer(int number, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)r[REG_RIP];
    unsigned leaf = r[REG_RAX], sub = r[REG_RCX], a = leaf, b, c = sub, d;
    (void)number, (void)info;
    if (at[0] != 0x0f || at[1] != 0xa2) { /* a true fault: it comes again, and ends the process */
        signal(SIGSEGV, SIG_DFL);
        return;
    }
    allow(1);
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    allow(0);
    if (leaf == 7 && sub == 0) {
        b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31)); /* AVX-512 F, DQ, IFMA, CD, BW, VL */
        c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));             /* AVX-512 VBMI, VBMI2, VNNI, … */
        d &= ~(BIT(22) | BIT(23) | BIT(24) | BIT(25));                     /* AMX, AVX-512 FP16 */
    } else if (leaf == 7 && sub == 1) {
        a &= ~(BIT(4) | BIT(5) | BIT(21)); /* AVX-VNNI, AVX-512 BF16, AMX FP16 */
        d &= ~(BIT(4) | BIT(10));          /* AVX-VNNI-INT8, AVX-VNNI-INT16 */
    }
    r[REG_RAX] = a, r[REG_RBX] = b, r[REG_RCX] = c, r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
    struct sigaction action = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    if (allow(0) != 0)
        _exit(UNAVAILABLE);
}
