"""Reading a model by what it computes: spiking populations found in the elementary operations of any `nn.Module`.

The steps, each a module, in the order in which they run:

    tracing       the model runs once; a tape of its elementary operations is left
    lifting       traced tensors become arrangements of frames: one tensor (B, …) per step and quantity
    expanding     frames become forms: sums of products of currents, potentials and spikes
    chains        forms that follow from each other are the steps of one neuron
    neurons       steps that are the same become one equation
    synapses      linear maps between frames become groups of one kernel each
    spiking       layers that compare something and are no such neurons, and why
    gathering     neurons, relays and integrators get names of the user's own
    placing       the largest set of populations that the chip can take
    replay        nothing of this is believed: the program runs beside the model
"""
