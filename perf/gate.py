"""Gate: whether figures have become worse than others, and whether that can be said at all.

Figures are lists of replicas. Two rules, either of which is enough for `worse`: the median is
more than 10 % worse; or the mean is more than 5 % worse and the 90 % interval of that change
(Welch's t) leaves no room for none. The second takes three replicas on both sides. Replicas
that vary by more than 10 % are `erratic`: of those nothing is said.
"""
import math
import statistics

VARIATION_MAX = 0.1
WORSE_MAX = 0.1
WORSE_SURE_MAX = 0.05
REPLICAS_MIN = 3  # for an interval

# Student's t, 5 % on either side, for 1, 2, ... degrees of freedom; beyond, nearly the normal.
T_90 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771,
        1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706,
        1.703, 1.701, 1.699, 1.697)


def t_90(freedom):
    """Rounded to fewer degrees, which makes intervals wider and never narrower."""
    return T_90[max(1, min(int(freedom), len(T_90))) - 1]


def variation(values):
    """Standard deviation by mean; 0 for too few to tell."""
    if len(values) < REPLICAS_MIN or statistics.mean(values) == 0:
        return 0.0
    return statistics.stdev(values) / abs(statistics.mean(values))


def is_erratic(values):
    return variation(values) > VARIATION_MAX


def interval(before, after):
    """(low, high): the 90 % interval of how much of before's mean after's mean is above it."""
    mean = statistics.mean(before)
    parts = [statistics.variance(values) / len(values) for values in (before, after)]
    change = (statistics.mean(after) - mean) / mean
    if sum(parts) == 0:
        return change, change
    freedom = sum(parts) ** 2 / sum(part ** 2 / (len(values) - 1)
                                    for part, values in zip(parts, (before, after)))
    margin = t_90(freedom) * math.sqrt(sum(parts)) / mean
    return change - margin, change + margin


def paired_interval(ratios):
    """(low, high): the 90 % interval of the mean of ratios of neighbours, as a change."""
    logs = [math.log(ratio) for ratio in ratios]
    margin = t_90(len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return (math.exp(statistics.mean(logs) - margin) - 1,
            math.exp(statistics.mean(logs) + margin) - 1)


def worse_by(before, after, less):
    """By which share after is worse, going by the medians; below 0, it is better."""
    was, now = statistics.median(before), statistics.median(after)
    return (now - was) / was if less else (was - now) / was


def is_worse(before, after, less):
    """Both lists of replicas; less: a smaller figure is the better one."""
    if worse_by(before, after, less) > WORSE_MAX:
        return True
    if min(len(before), len(after)) < REPLICAS_MIN:
        return False
    low, high = interval(before, after)
    if not less:
        low, high = -high, -low
    return low > 0 and (low + high) / 2 > WORSE_SURE_MAX
